"""Profiles: what is kept of a column once its rows are gone, small, exact and mergeable.

A profile holds whole numbers only (counts, and the two extreme values), so merging two of them
gives the profile of both, to the last bit, in any order. Everything that drift is judged by is
computed from two profiles, with its error bound stated.

    grid           cells of a numeric column: dyadic, so that counts of any two grids add up
    numeric        a numeric column
    category       a column of categories, with a bounded number of names
    table          the columns of a table, and what could not be profiled
    codec          profiles as JSON, versioned and strictly read
    comparison     how far one profile is from another
    counting       the kernel: values into cells
    arrow          columns of Arrow, whoever made them
    parquet        a Parquet file, column chunk by column chunk
    csv            a CSV file, block by block
    dialect        what the beginning of a CSV file tells of the rest
    sources        where a table lies: a file, a stored profile, a warehouse
"""
