//! The way back: the pages file of version 1 that a pagemap describes, from runs and the stores that have the pages.
