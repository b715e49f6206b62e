"""Documents about models: cards as a page, a PDF, JSON and a bill of materials; tables of rows."""
