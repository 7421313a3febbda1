// SPDX-License-Identifier: MIT
// Goal: three Sessions with one Receiver deliver each order once while operators give them all
// commands, also inside of hooks, and their time limits contradict each other. Method: exploration.
// The receiver goes on with a fresh ledger after the old one has failed, or starts again as planned.
#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/caps.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/journal/journal.hpp>
#include <belay/policy/rules.hpp>
#include <belay/session/receiver.hpp>
#include <belay/session/session.hpp>
#include <belay/sim/accepted.hpp>
#include <belay/sim/tcp.hpp>

#include "support/session/sim_ledger.hpp"
#include "support/worlds/explored.hpp"
#include "support/worlds/ledger_server.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

constexpr std::size_t shops_max = 3;
constexpr std::uint64_t sales = 20;
constexpr HeartbeatOptions shop_beats{.every = 1s, .dead_after = 2500ms};

/// The times and limits of one world.
struct ShopTimes {
    explicit ShopTimes(sim::World& w) {
        const auto one_of = [&w](std::string_view tag, auto... values) {
            return std::array{Duration{values}...}[w.choose(tag, sizeof...(values))];
        };
        greeting = one_of("greeting", 400ms, 1500ms, 6s);
        attempt = one_of("attempt", 1s, 3s);
        stable = one_of("stable", 500ms, 4s);
        receiver.greeting_max = one_of("greeting of the receiver", 400ms, 5s);
        receiver.commit_within = one_of("commit within", 0s, 20ms, 3s);
        receiver.linger_max = one_of("linger", 0s, 2s);
        receiver.connections_max = shops_max + 1;
        receiver.heartbeat = shop_beats;
        if (w.chance("small window", 50)) receiver.limits.number_window = 4;
    }

    Duration greeting{};
    Duration attempt{};
    Duration stable{};
    ReceiverOptions receiver{};
};

auto shop_policy(const ShopTimes& times) {
    return Policy{Backoff{EqualJitter{}, Cap{2s}, 200ms}, ResetWhenStable{times.stable},
                  AttemptTimeout{times.attempt}};
}

/// The observations of one shop.
struct ShopBook {
    std::uint64_t accepted = 0;
    std::uint64_t acknowledged = 0;
};

/// The observations of the test. They outlive the processes.
struct ShopWorld {
    explicit ShopWorld(sim::World& w) : world{w}, times{w}, history{w.clock()} {}

    sim::World& world;
    ShopTimes times;
    sim::History history;
    std::array<ShopBook, shops_max> books{};
    std::string wrong{};
};

[[nodiscard]] std::string shop_name(std::size_t i) { return "shop " + std::to_string(i); }

/// Sends sales 1 to 20. Its journal knows which it has taken.
class Shop {
    using Outbox = Journal<sim::Disk>;
    struct Watch {
        Shop* shop;
        void on_state(const Transition& change) { shop->on_state(change); }
        void on_accepted(std::uint64_t up_to) { shop->on_accepted(up_to); }
        void on_acknowledged(std::uint64_t up_to) { shop->on_acknowledged(up_to); }
        void on_blocked(Blocked why, const BlockedDetails&) { shop->on_blocked(why); }
    };
    using Sender =
        Session<sim::Tcp, decltype(shop_policy(std::declval<ShopTimes>())), Queue<Outbox>, Watch>;

public:
    Shop(sim::Host& host, ShopWorld& run, std::size_t index)
        : host_{host}, run_{run}, book_{run.books[index]}, name_{shop_name(index)} {
        auto outbox = Outbox::open(
            host.disk(), "data/outbox",
            {.segment_bytes = 4096, .record_bytes_max = 512, .seed = Seed{run.world.bits()()}});
        if (!outbox) {
            exit();
            return;
        }
        if (outbox->last() < book_.accepted) run_.wrong = "an accepted sale is lost";
        sender_.emplace(
            sim::Tcp{host, "office", 1}, shop_policy(run.times), Queue{std::move(*outbox)},
            SessionOptions{.id = Id{static_cast<std::byte>(index + 1)},
                           .greeting_max = run.times.greeting,
                           .batch_bytes = host.chance("small batches", 50) ? 64U : 32768U,
                           .heartbeat = shop_beats},
            Watch{this});
        // A process may end before it reports what is durable.
        book_.accepted = sender_->status().accepted;
        acknowledge(sender_->status().acknowledged);
        host.attach(*sender_);
        sender_->start();
        work();
    }
    [[nodiscard]] bool is_drained() const {
        return sender_ && !exits_ && book_.acknowledged == sales && sender_->depth() == 0 &&
               sender_->status().link.state == LinkState::stopped;
    }

private:
    [[nodiscard]] LinkState state() const { return sender_->status().link.state; }
    void exit() {
        if (!std::exchange(exits_, true)) exit_and_restart(run_.world, host_);
    }
    void work() {
        host_.after(200ms, [this] { work(); });
        if (!sender_) return;
        // Twice, because after a freeze this may run before the session does.
        const bool late = draining_ && host_.now() > drain_ends_;
        if (late && was_late_) run_.wrong = "a drain that does not end";
        was_late_ = late;
        sell();
        if (run_.world.healed_at()) {
            if (sender_->status().taken == sales && !draining_) drain(60s);
            return;
        }
        if (!host_.chance("a command", 30)) return;
        if (host_.chance("inside of a hook", 50)) {
            waits_for_hook_ = true;
        } else {
            command();
        }
    }
    void sell() {
        const std::uint64_t next = sender_->status().taken + 1;
        if (next > sales) return;
        run_.history.invoke(name_, next);
        const auto taken = sender_->send(as_bytes(name_ + " " + std::to_string(next)));
        if (taken && *taken != next) run_.wrong = "send returned another number";
        const bool refused = !taken && taken.error() == SessionErrc::takes_no_more;
        if (refused && !draining_) run_.wrong = "a session that does not drain takes no more";
    }
    void command() {
        switch (host_.choose("command", 8)) {
            case 0:
                draining_ = false;
                sender_->stop();
                // No hook reports that it has stopped if its start was still to come.
                return start_later();
            case 1:
                return drain(std::chrono::milliseconds{host_.choose("drain within", 3000)});
            case 2:
                sender_->shut(Gate::hidden, host_.chance("grace", 50) ? 300ms : 0ms);
                host_.after(600ms, [this] {
                    if (sender_) sender_->open(Gate::hidden);
                });
                return;
            case 3:
                static_cast<void>(sender_->reconnect_now(host_.chance("force", 50)));
                return;
            case 4:
                return sender_->probe_now(
                    std::chrono::milliseconds{host_.choose("probe within", 300)});
            case 5:
                draining_ = false;
                sender_->stop();
                // Its hook may have destroyed it.
                if (sender_) sender_->start();
                return;
            case 6:
                exits_when_stopped_ = true;
                return drain(2s);
            default:
                sender_.reset();  // also in one of its hooks
                return exit();
        }
    }
    void drain(Duration within) {
        if (state() == LinkState::stopped) return;
        const Instant ends = after(host_.now(), within);
        drain_ends_ = draining_ ? std::min(drain_ends_, ends) : ends;
        draining_ = true;
        run_.world.reach("drain");
        sender_->drain(within);
    }
    void in_hook() {
        if (std::exchange(waits_for_hook_, false)) command();
    }
    void on_state(const Transition& change) {
        const LinkStatus& now = change.to;
        if (now.failure.error() == LinkErrc::heartbeat_lost) run_.world.reach("heartbeat lost");
        if (now.failure.error() == SessionErrc::silent) run_.world.reach("receiver silent");
        if (now.failure.error() == SessionErrc::storage) run_.world.reach("receiver failed");
        if (now.state == LinkState::stopped) return on_stopped();
        in_hook();
    }
    void on_stopped() {
        const bool drained = std::exchange(draining_, false);
        if (drained && host_.now() < drain_ends_ && sender_->depth() != 0) {
            run_.wrong = "a drain ended before its time, and left sales";
        }
        if (std::exchange(exits_when_stopped_, false)) return exit();
        if (run_.world.healed_at() && is_drained()) return;
        start_later();
    }
    void start_later() {
        host_.after(300ms, [this] {
            if (sender_) sender_->start();
        });
    }
    void on_accepted(std::uint64_t up_to) {
        if (up_to < book_.accepted) run_.wrong = "fewer sales are accepted than before";
        if (up_to > sender_->status().taken) run_.wrong = "a sale is accepted that was not taken";
        book_.accepted = up_to;
        in_hook();
    }
    void on_acknowledged(std::uint64_t up_to) {
        if (up_to > book_.accepted) run_.wrong = "a sale is acknowledged that was not accepted";
        acknowledge(up_to);
        in_hook();
    }
    void acknowledge(std::uint64_t up_to) {
        while (book_.acknowledged < up_to) run_.history.succeed(name_, ++book_.acknowledged);
    }
    void on_blocked(Blocked why) {
        if (why != Blocked::journal_failed) {
            run_.wrong = "a session is blocked: " + std::string{to_string(why)};
            return;
        }
        run_.world.reach("journal failed");
        exit();
    }

    sim::Host& host_;
    ShopWorld& run_;
    ShopBook& book_;
    std::string name_;
    bool exits_ = false;
    bool exits_when_stopped_ = false;
    bool waits_for_hook_ = false;
    bool draining_ = false;
    bool was_late_ = false;
    Instant drain_ends_ = never;
    std::optional<Sender> sender_{};
};

/// A ledger that cannot take some operations, each for a while.
class PickyLedger : public SimLedger {
public:
    PickyLedger(sim::Host& host, ShopWorld& run)
        : SimLedger{host.disk(), run.world.bits()}, host_{&host}, run_{&run} {}

    std::error_code adopt(const Id& sender, const Progress& p) {
        return rejects() ? bad_ : SimLedger::adopt(sender, p);
    }
    std::error_code apply(const Id& sender, const Progress& p, BytesView operation) {
        return rejects() ? bad_ : SimLedger::apply(sender, p, operation);
    }

private:
    bool rejects() { return !run_->world.healed_at() && host_->chance("the ledger rejects", 10); }

    sim::Host* host_;
    ShopWorld* run_;
    std::error_code bad_ = make_error_code(std::errc::invalid_argument);
};

/// Receives at port 1. After a failure of its ledger it opens the ledger again.
class Office {
    struct Watch {
        Office* office;
        void on_ledger_failed(std::error_code) {
            office->run_.world.reach("ledger failed");
            office->open_again();
        }
        void on_sender_failed(const Id&, std::error_code) {
            office->run_.world.reach("sender failed");
        }
        void on_rejected(SessionErrc why, const Id&) {
            if (why == SessionErrc::superseded) office->run_.world.reach("fenced");
        }
    };

public:
    Office(sim::Host& host, ShopWorld& run) : host_{host}, run_{run} {
        PickyLedger ledger{host, run};
        if (ledger.failed()) {
            exit_and_restart(run.world, host);
            return;
        }
        receiver_.emplace(std::move(ledger), run.times.receiver, Watch{this});
        host.attach(*receiver_);
        host.listen(1, [this](sim::Accepted connection) {
            if (!stops_) receiver_->accept(std::move(connection));
        });
        operate();
    }

private:
    void operate() {
        host_.after(500ms, [this] { operate(); });
        if (stops_ && receiver_->connections() == 0 && !std::exchange(exits_, true)) {
            run_.world.reach("planned restart");
            exit_and_restart(run_.world, host_);
        }
        if (stops_ || run_.world.healed_at() || !host_.chance("a command", 10)) return;
        // Half of the time it continues to accept, and the other end sees a planned end.
        stops_ = host_.chance("restarts", 50);
        receiver_->stop();
    }
    void open_again() {
        host_.after(300ms, [this] {
            PickyLedger ledger{host_, run_};
            if (ledger.failed()) return open_again();
            receiver_->resume(std::move(ledger));
            run_.world.reach("fresh ledger");
        });
    }

    sim::Host& host_;
    ShopWorld& run_;
    bool stops_ = false;
    bool exits_ = false;
    std::optional<Receiver<sim::Accepted, PickyLedger, AllowAll, Watch>> receiver_{};
};

bool operated_sessions(sim::World& world) {
    ShopWorld& run = world.make<ShopWorld>(world);
    sim::Host& office =
        world.host("office", [&run](sim::Host& h) { return std::make_unique<Office>(h, run); });
    std::vector<sim::Host*> shops;
    for (std::size_t i = 0; i < shops_max; ++i) {
        shops.push_back(&world.host(
            shop_name(i), [&run, i](sim::Host& h) { return std::make_unique<Shop>(h, run, i); }));
    }
    fill_disk_at_times(world, "office", 7'000);
    for (const char* const mark :
         {"drain", "heartbeat lost", "receiver silent", "receiver failed", "fenced",
          "journal failed", "sender failed", "ledger failed", "fresh ledger", "planned restart"}) {
        world.reachable(mark);
    }
    world.always("the rules of a session", [&run] { return run.wrong; });
    world.run_for(8s);
    world.heal();
    const auto is_drained = [](sim::Host* host) {
        const auto* const shop = host->process<Shop>();
        return shop != nullptr && shop->is_drained();
    };
    if (!world.eventually("every session has drained", 60s,
                          [&] { return std::ranges::all_of(shops, is_drained); })) {
        return false;
    }
    const SimLedger ledger{office.disk()};
    for (std::size_t i = 0; i < shops_max; ++i) {
        const std::string name = shop_name(i);
        for (const Effect& e : ledger.effects()) {
            if (e.text.starts_with(name)) {
                run.history.effect(name, std::stoull(e.text.substr(name.size() + 1)));
            }
        }
    }
    return world.require("exactly once, and in order", exactly_once_in_order(run.history));
}

}  // namespace

TEST_CASE("Sessions under all commands of operators deliver each order once",
          "[worlds][session_operators][sim][property]") {
    const auto options = world_options({.bandwidths = 2,
                                        .early_closes = 2,
                                        .disk_refusals = 2,
                                        .disk_errors = 2,
                                        .late_disk_errors = 2,
                                        .exhaustions = 2,
                                        .within = 7s,
                                        .lasts_max = 5s,
                                        .number_max = 16});
    CHECK(explored_as_wanted("session_operators", options, operated_sessions));
}
