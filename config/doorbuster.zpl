# Settings of doorbuster, as ZPL: a section at the margin, its keys indented by 4 blanks.
# DOORBUSTER_SECTION_NAME in the environment wins over this file, --set section.name=value over both.

node
    # Worker id in the ids this process makes; -1 leases a free one from PostgreSQL.
    # From -1 to 1023.
    worker = -1
    # Name of this node among others, also of its CURVE key; letters, digits, '.', '_' and '-'. Empty is the host's name.
    name = ""
    # Where other nodes reach this one: ipc://FOLDER, or tcp://ADDRESS:PORT, one port per thread from PORT on (0: any that are free).
    listen = "ipc://var/links"

broker
    # ZeroMQ endpoint of the broker, the directory of nodes: ipc://FILE or tcp://ADDRESS:PORT. Empty: everything is in one process.
    endpoint = ""

link
    # Messages that another node's thread may have under way to one of ours.
    # From 16 to 1000000.
    credit = 8192
    # Answers and consequences kept for a node that does not take them; more are lost, and repeated.
    # From 1m to 1g.
    keep_max = 64m

http
    # Address and port shoppers connect to.
    listen = "127.0.0.1:8080"
    # Open connections; more are closed at once.
    # From 1 to 1000000.
    connections_max = 20000
    # Largest request line and headers.
    # From 1k to 64k.
    headers_max = 8k
    # Largest request body.
    # From 1k to 1m.
    body_max = 16k
    # Time to receive a whole request, from its first byte; a slower client is cut off. Read again at SIGHUP.
    # From 100ms to 5m.
    deadline = 10s
    # Hold time: how long a purchase waits for its decision before the answer is 202; one that is not in the journal by then is refused. Read again at SIGHUP.
    # From 10ms to 30s.
    hold = 300ms
    # Time for an answer from inside to any request; one that nobody answers (its actor has crashed, its node is gone) is answered unavailable then. Read again at SIGHUP.
    # From 100ms to 5m.
    answer_max = 15s
    # Purchases waiting for a decision; more are answered overloaded, and so is one that would wait longer than http.hold at the pace at which its shard is deciding. Read again at SIGHUP.
    # From 1 to 1000000.
    inflight_max = 8192
    # Requests per second of one user, 0 for no limit. Read again at SIGHUP.
    # From 0 to 1000000.
    rate_user = 10
    # Requests one user may send at once after a pause. Read again at SIGHUP.
    # From 0 to 1000000.
    rate_user_burst = 20
    # Requests per second of one client address, 0 for no limit. Read again at SIGHUP.
    # From 0 to 1000000.
    rate_peer = 0
    # Requests one client address may send at once after a pause. Read again at SIGHUP.
    # From 0 to 1000000.
    rate_peer_burst = 0

admin
    # Address and port of /healthz, /readyz and /metrics; empty serves them with http.listen.
    listen = ""

pg
    # Connection string of PostgreSQL, as libpq reads it; passwords belong in a passfile.
    dsn = "dbname=doorbuster"
    # Connections to PostgreSQL for everything but the shards' writers, which have two each.
    # From 1 to 32.
    shop_connections = 4
    # Time to get a connection to PostgreSQL.
    # From 100ms to 1m.
    connect_timeout = 3s
    # Silence of PostgreSQL under a statement after which the connection is given up. Read again at SIGHUP.
    # From 100ms to 10m.
    answer_timeout = 30s

redis
    # Unix socket or host:port of Redis; of several, separated by blanks, shard k uses the k-th, and so on around.
    address = "/run/redis/redis.sock"
    # ACL user in Redis; empty is the default user.
    user = ""
    # File with the password of that user; empty logs in without one.
    password_file = ""
    # Time for an answer of Redis, after which it counts as away. Read again at SIGHUP.
    # From 10ms to 1m.
    timeout = 2s

shards
    # Shards that lots are spread over, the same number on every node; it can only grow.
    # From 1 to 64.
    count = 1

keys
    # File of the keys that sign tokens, tickets and receipts: id and 32 bytes in hex a line.
    file = "var/keys"

curve
    # Our own CURVE key pair, the name of its public file (`doorbuster keys --curve`); the secret one lies beside it.
    file = ""
    # Folder of the public keys of nodes that may connect, or a file with a line for each: key, name.
    nodes = ""
    # Public key file of the broker, for a node that reaches it by tcp.
    broker = ""
    # Allow tcp without CURVE on loopback addresses; everywhere else tcp is always encrypted.
    loopback_plain = no

session
    # Life of an access token. Read again at SIGHUP.
    # From 1s to 24h.
    access_life = 15m
    # A session not refreshed for this long has ended. Read again at SIGHUP.
    # From 1s to 365d.
    idle = 30m
    # Life of a session, however often it is refreshed. Read again at SIGHUP.
    # From 1s to 365d.
    refresh_life = 30d
    # Threads that hash passwords.
    # From 1 to 64.
    hash_threads = 1
    # Logins waiting for one of them; more are answered 429.
    # From 1 to 4096.
    hash_queue = 16
    # Memory of one argon2id hash; new hashes only.
    # From 8m to 1g.
    hash_memory = 19m
    # Passes of one argon2id hash; new hashes only.
    # From 1 to 16.
    hash_passes = 2
    # Wrong passwords in a row after which an account is locked for a while. Read again at SIGHUP.
    # From 1 to 1000.
    login_failures_max = 10

ticket
    # How long a ticket is good once it may be used. Read again at SIGHUP.
    # From 1s to 7d.
    life = 30m
    # How long before a sale opens its tickets are issued. Read again at SIGHUP.
    # From 0 to 30d.
    lead = 1d

sale
    # Time to pay an order, where the sale does not say otherwise.
    # From 1s to 30d.
    pay_window = 15m

order
    # Purchases committed in one transaction, at most.
    # From 1 to 512.
    batch_max = 512
    # Undecided purchases in the journal; more are answered overloaded. Read again at SIGHUP.
    # From 1 to 10000000.
    journal_cap = 20000
    # Age of the oldest undecided purchase at which new ones are answered overloaded. Read again at SIGHUP.
    # From 10ms to 10m.
    journal_age_max = 10s
    # Quiet time after which the writer reads the journal itself. Read again at SIGHUP.
    # From 1ms to 1s.
    idle_read = 20ms
    # Orders a buyer may cancel in one sale before he can buy no more in it, 0 for no limit. Read again at SIGHUP.
    # From 0 to 1000000.
    cancels_max = 3

catalogue
    # How often the account of all lots is compared for the metrics; 0 = never. Read again at SIGHUP.
    # From 0 to 1d.
    reconcile_every = 1m

inventory
    # How often the remaining units of each lot are told to the bridges. Read again at SIGHUP.
    # From 10ms to 1s.
    hint_every = 200ms
    # How long a bridge believes a hint that a lot is sold out. Read again at SIGHUP.
    # From 20ms to 1s.
    hint_life = 500ms

payment
    # How often a payment of unknown outcome is asked about at its provider. Read again at SIGHUP.
    # From 100ms to 1h.
    query_every = 5s
    # Time for an answer of a payment provider.
    # From 100ms to 1m.
    timeout = 5s
    # Age at which a provider's signed callback is refused. Read again at SIGHUP.
    # From 1s to 1h.
    callback_tolerance = 5m
    # Address of this system for callbacks and pay pages.
    public_url = "http://127.0.0.1:8080"
    # Address of the sandbox payment provider.
    sandbox_url = "http://127.0.0.1:8090"
    # Our name at the sandbox payment provider.
    sandbox_merchant = "doorbuster"
    # File with the secret that signs requests and callbacks of the sandbox provider.
    sandbox_secret_file = ""

mail
    # Mail server, as smtp://host:port; empty sends no mail.
    smtp_url = ""
    # Encryption to the mail server: none, by STARTTLS (never without, whatever the server says), or from the first byte.
    # One of none|starttls|tls.
    tls = none
    # Certificates (PEM) that vouch for the mail server's; empty takes the system's.
    ca_file = ""
    # Whether the mail server's certificate must be valid, and of its name.
    verify = yes
    # Name to log in at the mail server with, only over an encrypted connection; empty does not.
    user = ""
    # File with the password of mail.user.
    password_file = ""
    # Sender of the mail.
    from = "doorbuster@localhost"
    # Time to hand over one mail.
    # From 100ms to 5m.
    timeout = 10s
    # Attempts to send a mail before it counts as dead. Read again at SIGHUP.
    # From 1 to 100.
    attempts_max = 10

door
    # ZeroMQ endpoint of the operators' door, which doorctl talks to.
    endpoint = "ipc://var/door.sock"
    # The door's CURVE key pair, the name of its public file; made when it is not there.
    key = "var/door.key"
    # Folder of the public keys of operators (`doorbuster keys --curve NAME --role ROLE`), or a file with a line for each: key, name, role.
    operators = "var/operators"

host
    # Messages in the mailbox of an actor; more are answered overloaded.
    # From 1 to 1000000.
    mailbox_max = 16384
    # Messages an actor handles at once.
    # From 1 to 4096.
    batch_max = 256
    # Threads of this process that its shards are dealt to in turn; 0: they share the thread of HTTP, which is fastest with two processors.
    # From 0 to 16.
    shard_threads = 0
    # Time that messages on their way are given when the process ends.
    # From 0 to 1s.
    linger = 500ms
    # Time to decide everything journalled after SIGTERM. Read again at SIGHUP.
    # From 0 to 5m.
    drain = 5s

trace
    # Messages each thread remembers for `doorctl trace`, 24 bytes each; 0 remembers none.
    # From 0 to 16777216.
    ring = 65536

log
    # Lines below this level are not written. Read again at SIGHUP.
    # One of debug|info|warn|error.
    level = info
    # Form of a log line. Read again at SIGHUP.
    # One of logfmt|json.
    format = logfmt
    # Lines per second from one place in the program, 0 for no limit. Read again at SIGHUP.
    # From 0 to 1000000.
    rate = 20
