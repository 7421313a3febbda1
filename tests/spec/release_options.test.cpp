// SPDX-License-Identifier: MIT
// Goal: wrong options stop the program in a release build, too. Method: one wrong value for each
// part, without assertions.
#undef BELAY_ASSERTIONS
#if !defined(NDEBUG)
#    define NDEBUG
#endif
#include <belay/belay.hpp>
#include <belay/budget/cubic_rate.hpp>
#include <belay/call/chaos.hpp>
#include <belay/call/hedge.hpp>
#include <belay/call/policies.hpp>
#include <belay/drive.hpp>
#include <belay/drive/loop_sleeper.hpp>
#include <belay/fleet.hpp>
#include <belay/http/http_calls.hpp>
#include <belay/link/awaitable.hpp>
#include <belay/link/chaos_transport.hpp>
#include <belay/link/countdown.hpp>
#include <belay/link/requests.hpp>
#include <belay/metrics/page.hpp>
#include <belay/policy/registry.hpp>
#include <belay/posix.hpp>
#include <belay/posix/replica_listener.hpp>
#include <belay/room.hpp>
#include <belay/room/on_thread.hpp>
#include <belay/session.hpp>
#include <belay/session/ledger_check.hpp>
#include <belay/sim.hpp>
#include <belay/sync.hpp>
#include <belay/sync/http_exchange.hpp>
#include <belay/sync/remote_sync_server.hpp>
#include <belay/sync/replica_link.hpp>
#include <belay/work.hpp>
#include <belay/yjs.hpp>

#include "support/aborts.hpp"
#include "support/catch.hpp"

static_assert(BELAY_ASSERTIONS == 0);

using namespace belay;
using namespace std::chrono_literals;

namespace {

struct Row {
    const char* sentence;
    void (*make)();
};

void check_each(std::initializer_list<Row> rows) {
    for (const Row& row : rows) {
        INFO(row.sentence);
        CHECK_THAT(belay_test::aborts_with(row.make), Catch::Matchers::Contains(row.sentence));
    }
}
struct FirstLane {
    std::size_t operator()(int) const noexcept { return 0; }
};
struct NoHttp {
    struct Handle {};
    Handle request(HttpRequest, Completion<HttpResponse>) { return {}; }
};
struct Ledger {
    Id id{std::byte{1}};
    [[nodiscard]] const Id& store_id() const noexcept { return id; }
    [[nodiscard]] std::optional<Progress> progress(const Id&) const { return std::nullopt; }
    std::error_code adopt(const Id&, const Progress&) { return {}; }
    std::error_code apply(const Id&, const Progress&, BytesView) { return {}; }
    std::error_code commit() { return {}; }
};
struct TextCodec {
    bool encode(const std::string& text, Bytes& into) const { return into = to_bytes(text), true; }
    std::optional<std::string> decode(BytesView bytes) const { return std::string{as_text(bytes)}; }
};
struct Board {
    using content_type = std::string;
    std::vector<std::string> sessions() { return {}; }
    Result<std::optional<Scene<std::string>>> read(std::string_view) { return std::nullopt; }
    std::error_code apply(std::string_view, Scene<std::string>, Origin) { return {}; }
};
struct Server {
    using content_type = std::string;
    void fetch(std::string_view,
               Completion<Result<std::optional<Scene<std::string>>, Failure>> done) {
        done(std::nullopt);
    }
    void push(std::string_view, Scene<std::string>, Completion<Failure> done) { done(Failure{}); }
};
/// The parts of a program, over a simulated network and disk.
struct Parts {
    [[nodiscard]] sim::Tcp tcp() { return {host, "server", 1}; }
    [[nodiscard]] Journal<sim::Disk> journal() {
        return std::move(*Journal<sim::Disk>::open(disk, "j", {.seed = Seed{1}}));
    }
    sim::World world{Seed{1}};
    sim::Host& host = world.host("here");
    sim::Disk disk{};
};
void link(const SupervisorOptions& options) {
    Parts parts;
    Supervisor l{parts.tcp(), MaxAttempts{1}, options};
}
void replica(const ReplicaOptions& options) {
    Parts parts;
    Replica r{parts.journal(), MemoryStore<std::string>{}, TextCodec{}, options};
}
void replica_server(const part::ReplicaServerOptions& options) {
    SyncProcessor p{MemoryStore<std::string>{}, LastWriteWins{}};
    part::ReplicaServer s{p, TextCodec{}, options};
}
void remote(const part::RemoteSyncServerOptions& options) {
    const auto exchange = [](const Bytes& question, Duration) { return Result<Bytes>{question}; };
    part::RemoteSyncServer s{exchange, TextCodec{}, options};
}

/// Hides a wrong value from the compiler, which would warn of it.
template <class T>
T hidden(T value) {
    const volatile T there = value;
    return there;
}

}  // namespace

TEST_CASE("Release builds check the options of rules", "[spec][options][unit]") {
    check_each({
        {"MaxAttempts: the limit must be >= 1", [] { MaxAttempts{hidden(0)}; }},
        {"MaxElapsed: the time must be >= 0ns", [] { MaxElapsed{-1ns}; }},
        {"AttemptTimeout: the limit must be > 0ns", [] { AttemptTimeout{0ns}; }},
        {"ResetWhenStable: the window must be >= 0ns", [] { ResetWhenStable{-1ns}; }},
        {"RestartIntensity: the period must be > 0ns", [] { RestartIntensity<1>{0ns}; }},
        {"SpreadHint: the percentage",
         [] { static_cast<void>(SpreadHint::plus_percent(hidden(0U))); }},
        {"StopOn: Cause::none", [] { StopOn{Cause::none}; }},
        {"CooldownOn: the shortest wait must be >= 0ns",
         [] {
             CooldownOn{Cause::lost, -1ns, 1ns};
         }},
        {"AskAgain: the wait must be > 0ns", [] { AskAgain{0s}; }},
        {"Registry: entries_max", [] { policies::Registry<> r{{.entries_max = 0}}; }},
        {"Policy: a breaker, adaptive limit or throttle must be in one rule",
         [] {
             CircuitBreaker breaker{ConsecutiveFailures{1}, OpenFor{1s}};
             Policy{Shared{breaker}, Shared{breaker}};
         }},
        {"Backoff: the cap must be",
         [] {
             Backoff{FullJitter{}, Cap{1s}, 2s};
         }},
        {"Backoff: the base must be",
         [] {
             Backoff{FullJitter{}, Cap{1s}, 0s};
         }},
    });
}

TEST_CASE("Release builds check the options of breakers and budgets", "[spec][options][unit]") {
    check_each({
        {"ConsecutiveFailures: the limit", [] { ConsecutiveFailures{hidden(0)}; }},
        {"HalfOpenOptions: probes",
         [] {
             CircuitBreaker b{ConsecutiveFailures{1}, OpenFor{1s}, HalfOpenOptions{.probes = 0}};
         }},
        {"OpenFor: the wait must be > 0ns", [] { OpenFor{0s}; }},
        {"OpenAsAsked: the bound",
         [] {
             OpenAsAsked{OpenFor{1s}, 0s};
         }},
        {"RateThreshold: percent",
         [] {
             FailureRate{CountWindow<10>{}, {.percent = 0}};
         }},
        {"RateThreshold: min_calls must be <= the calls of the window",
         [] {
             FailureRate{CountWindow<10>{}, {.min_calls = 11}};
         }},
        {"TimeWindow: the length", [] { TimeWindow{0s}; }},
        {"SlowCallRate: slow_after",
         [] {
             SlowCallRate{0s, CountWindow<10>{}};
         }},
        {"TokenBudget", [] { TokenBudget b{{.capacity_milli = 0}}; }},
        {"TokenBudgetOptions::grpc: tokens",
         [] { static_cast<void>(TokenBudgetOptions::grpc(hidden(0U), 100)); }},
        {"RatioBudget", [] { RatioBudget b{{.retries_per_thousand = 0, .at_least = 0}}; }},
        {"AimdOptions", [] { Aimd a{{.least = 0}}; }},
        {"GradientOptions", [] { Gradient g{{.least = 0}}; }},
        {"AdaptiveLimit: the wait must be > 0ns",
         [] {
             AdaptiveLimit<Aimd> l{Aimd{AimdOptions{}}, 0s};
         }},
        {"AdaptiveThrottle: ask_again",
         [] { AdaptiveThrottle t{AdaptiveThrottleOptions{.ask_again = 0s}}; }},
        {"CubicRate: the rate",
         [] {
             AdaptiveThrottle::CubicRate c;
             c.set_rate(1, Instant{});
         }},
    });
}

TEST_CASE("Release builds check the options of calls", "[spec][options][unit]") {
    check_each({
        {"Bulkhead: limit must be >= 1", [] { Bulkhead b{{.limit = 0}}; }},
        {"Bulkhead::set_limit",
         [] {
             Bulkhead b{{.limit = 1}};
             b.set_limit(0);
         }},
        {"Rate: calls must be >= 1",
         [] {
             Rate{hidden(0), 1s};
         }},
        {"Rate: per must be > 0ns",
         [] {
             Rate{1, 0s};
         }},
        {"Burst: calls must be >= 1", [] { Burst{hidden(0)}; }},
        {"RateLimiter: the queue must be >= 0",
         [] {
             RateLimiter l{Rate{1, 1s}, Burst{1}, hidden(-1)};
         }},
        {"Queued: the bulkhead or limiter must have a queue",
         [] {
             Bulkhead b{{.limit = 1}};
             Queued{b};
         }},
        {"Hedge: the delay must be >= 0ns",
         [] {
             Hedge{-1ns, 1};
         }},
        {"Hedge::Percentile: percent",
         [] {
             Hedge<>::Percentile p{hidden(100U), 1s};
         }},
        {"Pipeline: a breaker, adaptive limit or throttle must be in one place",
         [] {
             CircuitBreaker b{ConsecutiveFailures{1}, OpenFor{1s}};
             Pipeline{Shared{b}, Retrying{Policy{Shared{b}, MaxAttempts{2}}}};
         }},
        {"chaos::Faults", [] { chaos::Faults f{{.failures_per_thousand = 1001}}; }},
    });
}

TEST_CASE("Release builds keep the values that are made for each call", "[spec][options][unit]") {
    // The limit is what is left of a deadline, and a server under load must live on.
    CHECK(belay_test::aborts_with([] { Timeout{hidden(0) * 1ns}; }) == "did not abort");
}

TEST_CASE("Release builds check the options of queues", "[spec][options][unit]") {
    check_each({
        {"Queue::Queue: the limit must be > 0",
         [] {
             Queue{Deque<int>{}, {.limit = 0}};
         }},
        {"Queue::Queue: a limit of bytes needs",
         [] {
             Queue{Deque<int>{}, {.bytes_limit = 1}};
         }},
        {"Queue::Queue: a limit of bytes must be at least two segments",
         [] {
             sim::Disk disk;
             auto journal = Journal<sim::Disk>::open(disk, "q", {.seed = Seed{1}});
             if (journal) Queue{std::move(*journal), DropOldest{}, {.bytes_limit = 10'000'000}};
         }},
        {"Deque::Deque: the capacity", [] { Deque<int>{0}; }},
        {"Ring::Ring: the capacity", [] { Ring<int>{0}; }},
        {"Ring::Ring: the capacity", [] { SpscRing<int>{0}; }},
        {"Ring::Ring: the capacity", [] { MpmcRing<int>{0}; }},
        {"Priority::Priority: in_a_row",
         [] {
             Priority<Deque<int>, 2, FirstLane>{{}, {}, {.in_a_row = 0}};
         }},
        {"Block::Block: the timeout",
         [] {
             ThreadSleeper s;
             Block b{s, {.timeout = -1ns}};
         }},
        {"FlushEvery::FlushEvery: interval",
         [] {
             sim::Disk disk;
             auto journal = Journal<sim::Disk>::open(disk, "q", {.seed = Seed{1}});
             if (journal) FlushEvery f{*journal, 0s};
         }},
    });
    // open() returns an error.
    sim::Disk disk;
    auto rooms_log = Journal<sim::Disk>::open(disk, "r", {.seed = Seed{1}});
    REQUIRE(rooms_log);
    CHECK(JournalRooms<Journal<sim::Disk>, sim::Disk>::open(disk, "rooms", std::move(*rooms_log),
                                                            {.log_bytes_max = 0})
              .error()
              .code == QueueErrc::bad_options);
    CHECK_FALSE(Journal<sim::Disk>::open(disk, "j", {.segment_bytes = 1, .seed = Seed{1}}));
    auto log = Journal<sim::Disk>::open(disk, "w", {.seed = Seed{1}});
    REQUIRE(log);
    CHECK_FALSE(WorkQueue<Journal<sim::Disk>>::open(std::move(*log), {.lease = 0s}, Moment{}));
}

TEST_CASE("Release builds check the options of connections", "[spec][options][unit]") {
    check_each({
        {"SupervisorOptions: messages_max", [] { link({.messages_max = 0}); }},
        {"SupervisorOptions: linger_max", [] { link({.linger_max = -1ns}); }},
        {"SupervisorCoreOptions: durations", [] { link({.core = {.spread_within = -1ns}}); }},
        {"HeartbeatOptions",
         [] {
             Parts parts;
             Heartbeat h{parts.tcp(), {.every = 0s}};
         }},
        {"Endpoints: the list",
         [] {
             Parts parts;
             Endpoints e{sim::Tcp{parts.host}, std::vector<sim::Endpoint>{}};
         }},
        {"Lines::WithPing", [] { Lines::WithPing p{"a\nb"}; }},
        {"LinkAwaits: messages_max", [] { LinkAwaits<Bytes> a{0}; }},
        {"Countdown: every",
         [] {
             Countdown c{0s, [](Duration) {}};
         }},
        {"chaos::LinkFaults", [] { chaos::LinkFaults f{{.failures_per_thousand = 1001}}; }},
        {"RequestsOptions",
         [] {
             Parts parts;
             Requests r{parts.tcp(), MaxAttempts{1}, part::InOrder{}, {.in_flight_max = 0}};
         }},
        {"FleetOptions", [] { Fleet f{{.dials_max = 0}}; }},
        {"PoolOptions",
         [] {
             Parts parts;
             Pool p{parts.tcp(), MaxAttempts{1}, {.size = 0}};
         }},
        {"PageOptions", [] { metrics::Page p{{.samples_max = 0}}; }},
        {"PageOptions", [] { metrics::Page p{{.name_bytes_max = 0}}; }},
        {"silent_for",
         [] {
             posix::Loop loop;
             Supervisor l{posix::Tcp{loop, {"localhost", 1}, {.silent_for = -1ns}}, MaxAttempts{1}};
             loop.attach(l);
             l.start();
             static_cast<void>(loop.run_until([] { return false; }, Duration{}));
         }},
        {"HttpCallsOptions",
         [] {
             NoHttp http;
             Loop loop;
             LoopSleeper sleeper{loop};
             HttpCalls calls{http, sleeper, {.attempts_max = 0}};
         }},
        {"Resolver: threads_max", [] { posix::Resolver r{{.threads_max = 0}}; }},
        {"ListenerOptions: accepts_per_turn_max",
         [] {
             posix::Loop<> loop;
             posix::Listener l{loop, [](auto) {}, {.accepts_per_turn_max = 0}};
         }},
    });
}

TEST_CASE("Release builds check the options of sessions", "[spec][options][unit]") {
    check_each({
        {"SessionOptions: id must be set",
         [] {
             Parts parts;
             Session s{parts.tcp(), MaxAttempts{1}, Queue{parts.journal()}, SessionOptions{}};
         }},
        {"Receiver: the ledger's store_id() must not be all zeros",
         [] { Receiver<sim::Accepted, Ledger> r{Ledger{.id = no_id}}; }},
        {"ReceiverOptions",
         [] {
             Receiver<sim::Accepted, Ledger> r{Ledger{}, ReceiverOptions{.senders_max = 0}};
         }},
        {"OutboxOptions",
         [] {
             Parts parts;
             Outbox o{parts.tcp(), MaxAttempts{1}, Queue{parts.journal()}, OutboxOptions{}};
         }},
        {"LedgerOptions: senders",
         [] {
             static_cast<void>(
                 check::ledger([] { return Ledger{}; }, [] { return Ledger{}; }, {.senders = 0}));
         }},
    });
}

TEST_CASE("Release builds check the options of replicas and bridges", "[spec][options][unit]") {
    check_each({
        {"Replica: batch_operations",
         [] {
             Parts parts;
             Replica r{parts.journal(),
                       MemoryStore<std::string>{},
                       TextCodec{},
                       {.session = "s", .batch_operations = 0}};
         }},
        {"Replica: batch_operations, edits_max and kept_max", [] { replica({.edits_max = 0}); }},
        {"Replica: batch_operations, edits_max and kept_max", [] { replica({.kept_max = 0}); }},
        {"Replica: session", [] { replica({.session = ""}); }},
        {"ReplicaServerOptions: the limits", [] { replica_server({.page_elements = 0}); }},
        {"ReplicaServerOptions: the limits", [] { replica_server({.answer_bytes = 0}); }},
        {"ReplicaServerOptions: the limits", [] { replica_server({.message_bytes_max = 0}); }},
        {"RemoteSyncServer: within and question_bytes",
         [] { remote({.session = "s", .question_bytes = 0}); }},
        {"RemoteSyncServer: session", [] { remote({}); }},
        {"HttpExchangeOptions: set url",
         [] {
             NoHttp http;
             Loop loop;
             part::HttpExchange e{http, loop, {}};
         }},
        {"HybridClock: the origin", [] { HybridClock<> c{no_id}; }},
        {"MemoryStore: tombstones_kept",
         [] { MemoryStore<std::string> s{{.tombstones_kept = -1ns}}; }},
        {"MemoryStore: elements_max", [] { MemoryStore<std::string> s{{.elements_max = 0}}; }},
        {"MemoryStore: elements_max",
         [] { MemoryStore<std::string> s{{.elements_max = no_limit}}; }},
        {"AppliedIds: the limit",
         [] { MemoryStore<std::string> s{{.ids_remembered = std::size_t{1} << 31}}; }},
        {"SyncProcessor: transaction_operations and element_id_bytes_max",
         [] {
             SyncProcessor p{
                 MemoryStore<std::string>{}, LastWriteWins{}, {.element_id_bytes_max = 0}};
         }},
        {"SyncProcessor: transaction_operations",
         [] {
             SyncProcessor p{
                 MemoryStore<std::string>{}, LastWriteWins{}, {.transaction_operations = 0}};
         }},
        {"ReplicaLink: options.session must name",
         [] {
             posix::Loop loop;
             part::ReplicaLink l{loop, posix::Tcp{loop, {"127.0.0.1", 1}}, TextCodec{},
                                 part::ReplicaLinkOptions{}};
         }},
        {"RemoteSyncServer: within",
         [] {
             posix::Loop loop;
             part::ReplicaLink l{loop, posix::Tcp{loop, {"127.0.0.1", 1}}, TextCodec{},
                                 part::ReplicaLinkOptions{.session = "s", .within = 0s}};
         }},
        {"ReplicaListener: devices_max",
         [] {
             posix::Loop loop;
             SyncProcessor p{MemoryStore<std::string>{}, LastWriteWins{}};
             posix::ReplicaListener l{loop, p, TextCodec{}, {.devices_max = 0}};
         }},
        {"BridgeOptions",
         [] {
             Bridge b{Board{}, Server{}, policies::bridge(), BridgeOptions{.calls_max = 0}};
         }},
    });
}

TEST_CASE("Release builds check the options of rooms and documents", "[spec][options][unit]") {
    check_each({
        {"RoomOptions: waiting_max",
         [] {
             RoomManager r{MemoryRooms{}, EveryoneEdits{}, {.waiting_max = 0}};
         }},
        {"OnThreadOptions",
         [] {
             OnThread r{MemoryRooms{}, {.calls_max = 0}};
         }},
        {"MemoryRoomsOptions", [] { MemoryRooms r{{.bytes_max = 0}}; }},
        {"YjsDocument: the limits of bytes", [] { YjsDocument d{{.bytes_max = 0}}; }},
        {"YjsDocument: pending_updates_max", [] { YjsDocument d{{.pending_updates_max = 0}}; }},
        {"yjs::Limits: nesting_max",
         [] {
             const Bytes update(2);
             static_cast<void>(yjs::validate(update, {.nesting_max = yjs::nesting_ceiling + 1}));
         }},
        {"yjs::split_update: piece_bytes_max",
         [] {
             const Bytes update(2);
             static_cast<void>(yjs::split_update(update, 0));
         }},
    });
}

TEST_CASE("Release builds check the options of simulated worlds", "[spec][options][unit]") {
    check_each({
        {"ScenarioOptions: within",
         [] { static_cast<void>(sim::draw({.within = -1ns}, Seed{1}, {})); }},
        {"Scenario::at: the time",
         [] { static_cast<void>(sim::Scenario{}.at(-1ns, sim::refuse("a"))); }},
        {"Network::latency", [] { sim::World{Seed{1}}.network().latency(2s, 1s); }},
        {"sim::latency: 0ns <= min", [] { static_cast<void>(sim::latency("a", "b", 2s, 1s)); }},
        {"sim::fail_disk: number", [] { static_cast<void>(sim::fail_disk("a", 0)); }},
        {"sim::crash_points: enumerated_max",
         [] {
             static_cast<void>(sim::crash_points([](sim::Disk&) { return 0; },
                                                 [](sim::Disk&, int) { return true; },
                                                 {.enumerated_max = 0}));
         }},
    });
}
