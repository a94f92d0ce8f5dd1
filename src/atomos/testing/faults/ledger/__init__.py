"""A small application to be hurt: accounts, deposits, copies, reminders, and a book outside the database."""
