-- The book of the example deployment: what the firm believes it holds at the close of 2026-11-20.
-- Quantities and prices are text, so that SQLite keeps them exactly; `sqlite3 book.sqlite < book.sql` makes the database.
CREATE TABLE positions (
    broker     TEXT NOT NULL,
    account    TEXT NOT NULL,
    ticker     TEXT NOT NULL,
    class      TEXT NOT NULL,
    ccy        TEXT NOT NULL,
    qty        TEXT NOT NULL,
    avg_price  TEXT NOT NULL,
    multiplier TEXT NOT NULL DEFAULT '1',
    isin       TEXT,
    updated_at TEXT NOT NULL,
    PRIMARY KEY (broker, account, ticker)
);
INSERT INTO positions VALUES
    ('prime',     'MAIN',  'AAPL',                'equity', 'USD', '400',        '226.51',    '1',   'US0378331005', '2026-11-20T20:58:11Z'),
    ('prime',     'MAIN',  'AAPL261218C00250000', 'option', 'USD', '10',         '4.35',      '100', NULL,           '2026-11-20T20:58:11Z'),
    ('prime',     'MAIN',  'MSFT',                'equity', 'USD', '150',        '415.06',    '1',   'US5949181045', '2026-11-20T20:58:11Z'),
    ('prime',     'MAIN',  'NVDA',                'equity', 'USD', '1200',       '139.91',    '1',   'US67066G1040', '2026-11-20T20:58:11Z'),
    ('prime',     'MAIN',  'VTI',                 'equity', 'USD', '12.3456',    '288.17',    '1',   'US9229087690', '2026-11-20T20:58:11Z'),
    ('prime',     'MAIN',  'KO',                  'equity', 'USD', '60',         '63.02',     '1',   'US1912161007', '2026-11-20T20:58:11Z'),
    ('prime',     'MAIN',  'SAP',                 'equity', 'EUR', '220',        '201.90',    '1',   'DE0007164600', '2026-11-20T20:58:11Z'),
    ('prime',     'MAIN',  'INTC',                'equity', 'USD', '75',         '24.87',     '1',   'US4581401001', '2026-11-17T14:30:02Z'),
    ('prime',     'HEDGE', 'SPY',                 'equity', 'USD', '-250',       '585.75',    '1',   'US78462F1030', '2026-11-20T20:58:11Z'),
    ('prime',     'HEDGE', 'TSLA',                'equity', 'USD', '-80',        '339.64',    '1',   'US88160R1014', '2026-11-20T20:58:11Z'),
    ('prime',     'HEDGE', 'ASML',                'equity', 'EUR', '40',         '641.30',    '1',   'NL0010273215', '2026-11-20T20:58:11Z'),
    ('prime',     'HEDGE', 'BRK.B',               'equity', 'USD', '60',         '471.12',    '1',   'US0846707026', '2026-11-20T20:58:11Z'),
    ('prime',     'HEDGE', 'LRCX',                'equity', 'USD', '30',         '940.10',    '1',   'US5128071082', '2026-11-20T20:58:11Z'),
    ('coinhouse', 'VAULT', 'BTC',                 'crypto', 'USD', '1.23456789', '98217.40',  '1',   NULL,           '2026-11-20T20:59:40Z'),
    ('coinhouse', 'VAULT', 'ETH',                 'crypto', 'USD', '10.5',       '3312.06',   '1',   NULL,           '2026-11-20T20:59:40Z'),
    ('coinhouse', 'VAULT', 'SOL',                 'crypto', 'USD', '250.000000000000000001', '255.15', '1', NULL,      '2026-11-20T20:59:40Z');
