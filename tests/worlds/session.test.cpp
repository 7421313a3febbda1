// SPDX-License-Identifier: MIT
// Goal: a Session over a Supervisor over Endpoints, with a Heartbeat, a breaker and MaxAttempts,
// keeps the promises of all of them together. Method: exploration. The client reaches the server
// through two load balancers; all hosts fail, and so do the disks. At the end, one load balancer
// may stay broken.
#include <memory>
#include <optional>
#include <string>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/caps.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/breaker/breaker.hpp>
#include <belay/journal/journal.hpp>
#include <belay/link/endpoints.hpp>
#include <belay/link/heartbeat.hpp>
#include <belay/policy/rules.hpp>
#include <belay/session/session.hpp>

#include "support/worlds/explored.hpp"
#include "support/worlds/front.hpp"
#include "support/worlds/ledger_server.hpp"
#include "support/worlds/watched_tcp.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

constexpr std::uint64_t orders = 60;
constexpr std::uint64_t attempts_max = 6;
constexpr HeartbeatOptions order_beats{.every = 1s, .dead_after = 2500ms};

auto order_policy() {
    return Policy{Backoff{EqualJitter{}, Cap{2s}, 200ms}, ResetWhenStable{3s},
                  Breaker{ConsecutiveFailures{3}, OpenFor{3s}}, AttemptTimeout{2s},
                  MaxAttempts{attempts_max}};
}

/// The observations of the test, which outlive the processes.
struct OrderWorld {
    explicit OrderWorld(sim::World& w) : world{w}, history{w.clock()} {}

    sim::World& world;
    sim::History history;
    std::string wrong{};          ///< the first violation that a process has observed
    std::uint64_t promised = 0;   ///< orders that were accepted or acknowledged
    std::uint64_t delivered = 0;  ///< orders that were acknowledged
    std::uint32_t starts = 0;
};

/// Sends orders 1 to 60. Its journal stores which orders were accepted.
class OrderClient {
    using Outbox = Journal<sim::Disk>;
    using Transport = Heartbeat<Endpoints<WatchedTcp, std::string>>;

    struct Watch {
        OrderClient* client;
        void on_state(const Transition& change) { client->on_state(change); }
        void on_accepted(std::uint64_t up_to) {
            client->run_.promised = std::max(client->run_.promised, up_to);
        }
        void on_acknowledged(std::uint64_t up_to) { client->on_acknowledged(up_to); }
        void on_blocked(Blocked why, const BlockedDetails&) { client->on_blocked(why); }
    };
    using Sender = Session<Transport, decltype(order_policy()), Queue<Outbox>, Watch>;

public:
    OrderClient(sim::Host& host, OrderWorld& run)
        : host_{host}, run_{run}, record_{&run.history, "client " + std::to_string(++run.starts)} {
        auto outbox = Outbox::open(
            host.disk(), "data/outbox",
            {.segment_bytes = 4096, .record_bytes_max = 512, .seed = Seed{run.world.bits()()}});
        if (!outbox) {
            exit_and_restart(run.world, host);
            return;
        }
        sender_.emplace(
            Transport{
                Endpoints{WatchedTcp{host, record_}, {std::string{"east"}, std::string{"west"}}},
                order_beats},
            order_policy(), Queue{std::move(*outbox)},
            SessionOptions{
                .id = Id{std::byte{1}}, .greeting_max = 1500ms, .heartbeat = order_beats},
            Watch{this});
        host.attach(*sender_);
        sender_->start();
        work();
    }

private:
    void work() {
        host_.after(300ms, [this] { work(); });
        check_silence();
        if (!run_.world.healed_at() && host_.chance("a person reconnects", 2)) {
            // The wait may end early until then, because reconnect_now may delay it to the allowed
            // time.
            record_.manual_until = after(host_.now(), 1100ms);
            // The waits begin anew, so that the dials until then do not count for the rate.
            record_.name += ", reconnected";
            static_cast<void>(sender_->reconnect_now());
        }
        const std::uint64_t next = sender_->status().taken + 1;
        if (next > orders) return;
        run_.history.invoke("order", next);
        const auto taken = sender_->send(as_bytes(std::to_string(next)));
        if (taken && *taken != next) run_.wrong = "send returned another number";
    }
    /// A connection that is open and dead for longer than the heartbeat allows. After a freeze of
    /// this process, the heartbeat waits for the answer to one more ping.
    void check_silence() {
        const bool silent =
            sender_->status().link.state == LinkState::connected &&
            elapsed(record_.received_at, host_.now()) > order_beats.dead_after + 100ms;
        silent_checks_ = silent ? silent_checks_ + 1 : 0;
        if (silent_checks_ >= 8) run_.wrong = "a dead connection counts as connected";
    }
    void on_state(const Transition& change) {
        const LinkStatus& now = change.to;
        const bool waits = now.state == LinkState::cooldown || now.state == LinkState::suspended;
        record_.not_before = waits ? now.retry_at : always;
        if (now.attempt > attempts_max) run_.wrong = "more attempts than MaxAttempts allows";
        if (now.state == LinkState::suspended) run_.world.reach("breaker opened");
        if (change.from == LinkState::suspended && now.state == LinkState::connecting) {
            run_.world.reach("breaker half open");
        }
        if (now.state == LinkState::connected && record_.peer == "west") {
            run_.world.reach("fail-over");
        }
        if (now.failure.error() == LinkErrc::heartbeat_lost) run_.world.reach("heartbeat lost");
        if (now.failure.error() == SessionErrc::silent) run_.world.reach("receiver silent");
        if (now.state == LinkState::failed && sender_->status().blocked == Blocked::none) {
            run_.world.reach("attempt limit reached");
            // An operator reconnects after a while.
            host_.after(4s, [this] {
                record_.not_before = always;  // reconnect_now() may end a wait
                static_cast<void>(sender_->reconnect_now());
            });
        }
        if (record_.early_dials != 0) run_.wrong = "a dial before the end of the wait";
    }
    void on_acknowledged(std::uint64_t up_to) {
        run_.promised = std::max(run_.promised, up_to);
        while (run_.delivered < up_to) run_.history.succeed("order", ++run_.delivered);
    }
    void on_blocked(Blocked why) {
        if (why != Blocked::journal_failed) {
            run_.wrong = "the session is blocked: " + std::string{to_string(why)};
            return;
        }
        run_.world.reach("journal failed");
        exit_and_restart(run_.world, host_);
    }

    sim::Host& host_;
    OrderWorld& run_;
    ConnectionRecord record_;
    int silent_checks_ = 0;
    std::optional<Sender> sender_{};
};

void break_a_front(sim::World& world, const std::vector<sim::Host*>& fronts, sim::Host& server) {
    sim::Host& front = *fronts[world.choose("which front", 2)];
    switch (world.choose("how it breaks", 5)) {
        case 0:
            return world.kill(front);
        case 1:
            return world.pause(front);
        case 2:
            return world.network().partition(front, server);
        case 3:
            return world.network().accept_then_close(front);
        default:
            return;
    }
}

bool session_over_endpoints(sim::World& world) {
    OrderWorld& run = world.make<OrderWorld>(world);
    sim::Host& server = world.host("server", [&world](sim::Host& h) {
        return std::make_unique<LedgerServer>(h, world, order_beats);
    });
    std::vector<sim::Host*> fronts;
    for (const char* const name : {"east", "west"}) {
        fronts.push_back(
            &world.host(name, [](sim::Host& h) { return std::make_unique<Front>(h, "server"); }));
    }
    world.host("client", [&run](sim::Host& h) { return std::make_unique<OrderClient>(h, run); });
    for (const char* const host : {"client", "server"}) fill_disk_at_times(world, host, 18'000);
    for (const char* const mark :
         {"breaker opened", "breaker half open", "attempt limit reached", "fail-over",
          "heartbeat lost", "receiver silent", "journal failed", "ledger failed"}) {
        world.reachable(mark);
    }
    world.always("the rules of the parts", [&run] { return run.wrong; });
    world.always("bounded rate of dials", [&run] { return sim::dial_rate(run.history, 7, 5s); });
    world.run_for(20s);
    world.heal();
    break_a_front(world, fronts, server);
    if (!world.eventually("every order is acknowledged", 60s,
                          [&run] { return run.delivered == orders; })) {
        return false;
    }
    read_effects(server, "order", run.history);
    return world.require("exactly once, and in order", exactly_once_in_order(run.history));
}

}  // namespace

TEST_CASE("Session with Endpoints, Heartbeat, Breaker and MaxAttempts delivers each order once",
          "[worlds][session][sim][property]") {
    const auto options = world_options({.bandwidths = 2,
                                        .early_closes = 2,
                                        .disk_refusals = 2,
                                        .disk_errors = 2,
                                        .late_disk_errors = 2,
                                        .exhaustions = 2,
                                        .within = 18s,
                                        .lasts_max = 15s,
                                        .number_max = 16});
    CHECK(explored_as_wanted("session", options, session_over_endpoints));
}
