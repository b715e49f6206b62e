"""Numbers, without thresholds: arrays go in, numbers or small frozen results come out.

Nothing here knows a tier, a policy, a column name or a database; whoever asks also judges.
Only numpy and the kernel are loaded; the first batch of a detector on streams also loads numba,
where it is installed. One page for each family of methods:

    sample         what may be measured: finite values, counts, levels
    special        incomplete beta and gamma functions, quantiles
    counts         rows of two sides over the same bins or categories, and what chance does
    univariate     a numeric column against its reference
    stability      what the stability index does by chance, for the very counts
    categorical    a column of categories against its reference
    homogeneity    the same shares? for columns of which most categories are rare
    multivariate   several columns at once: distances between clouds of points
    reconstruction do the columns still hang together? principal axes
    classifier     can a classifier tell today's rows from those of the reference?
    shift          nulls, labels and predictions: the same tests under their own names
    intervals      rates, means and quantiles with their uncertainty
    rates          rare events: exact tests, and evidence that survives repeated looks
    anytime        a mean with an interval that holds at every look
    multiplicity   many questions at once: features, tenants, families of them
    online         the same question window after window
    confusion      predictions against labels
    calibration    predicted probabilities against labels
    rescale        was a unit changed?
    self_starting  a series of window values, in whatever unit
    page_hinkley   a stream of numbers whose unit is known
    adwin          a stream of numbers, its window as long as nothing changes
    ddm            a stream of errors, as DDM judges it
    error_rate     a stream of errors, however rare, with a stated false-alarm rate
    streams        what these five share: what is refused, batches, states
"""
