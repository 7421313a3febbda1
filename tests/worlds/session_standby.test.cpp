// SPDX-License-Identifier: MIT
// Goal: an active and a standby server over one store apply each operation of a session exactly
// once, also while a server that has lost the lease still runs. Method: exploration. The store is a
// database that rejects the transactions of a former active server, and that may give no answer
// although it has committed.
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/caps.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/journal/journal.hpp>
#include <belay/link/endpoints.hpp>
#include <belay/policy/rules.hpp>
#include <belay/session/receiver.hpp>
#include <belay/session/session.hpp>
#include <belay/sim/accepted.hpp>
#include <belay/sim/tcp.hpp>

#include "support/worlds/explored.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

constexpr std::uint64_t payments = 60;
constexpr HeartbeatOptions payment_beats{.every = 1s, .dead_after = 2500ms};
constexpr Duration lease_time = 2s;

/// The database of both servers, and the observations of the test, which outlive the processes.
struct PaymentWorld {
    explicit PaymentWorld(sim::World& w) : world{w}, history{w.clock()} {}

    sim::World& world;
    sim::History history;
    std::string wrong{};
    std::uint64_t delivered = 0;
    // The committed state of the database.
    Id store{std::byte{0x5A}};
    std::uint64_t lease_epoch = 0;
    Instant lease_until = always;
    std::map<Id, Progress> progress{};
    std::vector<std::string> effects{};
};

/// A transaction of one server, which holds the lease of an epoch.
class LeasedLedger {
public:
    LeasedLedger(PaymentWorld& run, sim::Host& host, std::uint64_t epoch)
        : run_{&run}, host_{&host}, epoch_{epoch} {}

    [[nodiscard]] const Id& store_id() const noexcept { return run_->store; }
    [[nodiscard]] std::optional<Progress> progress(const Id& sender) const {
        const auto& rows = open_.empty() ? run_->progress : open_;
        if (const auto row = rows.find(sender); row != rows.end()) return row->second;
        return std::nullopt;
    }
    std::error_code adopt(const Id& sender, const Progress& adopted) {
        open_.insert_or_assign(sender, adopted);
        return commit();
    }
    std::error_code apply(const Id& sender, const Progress& after_it, BytesView operation) {
        open_.insert_or_assign(sender, after_it);
        effects_.emplace_back(as_text(operation));
        return {};
    }
    std::error_code commit() {
        if (run_->lease_epoch != epoch_) {
            run_->world.reach("commit of a former server");
            return std::make_error_code(std::errc::operation_not_permitted);
        }
        for (const auto& [sender, row] : std::exchange(open_, {})) {
            run_->progress.insert_or_assign(sender, row);
        }
        for (std::string& effect : std::exchange(effects_, {})) {
            run_->effects.push_back(std::move(effect));
        }
        if (run_->world.healed_at() || !host_->chance("a commit without an answer", 4)) return {};
        run_->world.reach("commit without an answer");
        return std::make_error_code(std::errc::connection_reset);
    }

private:
    PaymentWorld* run_;
    sim::Host* host_;
    std::uint64_t epoch_;
    std::map<Id, Progress> open_{};
    std::vector<std::string> effects_{};
};

/// Waits for the lease, and listens while it has it. It ends some time after it has lost the lease.
class PaymentServer {
    struct Watch {
        PaymentServer* server;
        void on_ledger_failed(std::error_code) { server->end(); }
    };

public:
    PaymentServer(sim::Host& host, PaymentWorld& run) : host_{host}, run_{run} { stand_by(); }

private:
    void stand_by() {
        if (run_.lease_until > host_.now()) {
            host_.after(300ms, [this] { stand_by(); });
            return;
        }
        if (epoch_ = ++run_.lease_epoch; epoch_ > 1) run_.world.reach("fail-over");
        run_.lease_until = after(host_.now(), lease_time);
        ReceiverOptions options;
        options.commit_within = 200ms;
        options.heartbeat = payment_beats;
        receiver_.emplace(LeasedLedger{run_, host_, epoch_}, options, Watch{this});
        host_.attach(*receiver_);
        host_.listen(1, [this](sim::Accepted c) { receiver_->accept(std::move(c)); });
        renew();
    }
    void renew() {
        if (run_.lease_epoch != epoch_) {
            run_.world.reach("two active servers");
            return end();
        }
        run_.lease_until = after(host_.now(), lease_time);
        host_.after(500ms, [this] { renew(); });
    }
    void end() {
        if (!std::exchange(ends_, true)) exit_and_restart(run_.world, host_);
    }

    sim::Host& host_;
    PaymentWorld& run_;
    std::uint64_t epoch_ = 0;
    bool ends_ = false;
    std::optional<Receiver<sim::Accepted, LeasedLedger, AllowAll, Watch>> receiver_{};
};

auto payment_policy() { return Policy{Backoff{EqualJitter{}, Cap{1s}, 200ms}, AttemptTimeout{2s}}; }

/// Sends payments 1 to 60. Its journal stores which payments were accepted.
class PaymentClient {
    using Outbox = Journal<sim::Disk>;
    struct Watch {
        PaymentClient* client;
        void on_acknowledged(std::uint64_t up_to) {
            PaymentWorld& run = client->run_;
            while (run.delivered < up_to) run.history.succeed("payment", ++run.delivered);
        }
        void on_blocked(Blocked why, const BlockedDetails&) {
            client->run_.wrong = "the session is blocked: " + std::string{to_string(why)};
        }
    };
    using Transport = Endpoints<sim::Tcp, sim::Endpoint>;
    using Sender = Session<Transport, decltype(payment_policy()), Queue<Outbox>, Watch>;

public:
    PaymentClient(sim::Host& host, PaymentWorld& run) : host_{host}, run_{run} {
        auto outbox = Outbox::open(
            host.disk(), "data/outbox",
            {.segment_bytes = 4096, .record_bytes_max = 512, .seed = Seed{run.world.bits()()}});
        REQUIRE(outbox);
        sender_.emplace(
            Transport{sim::Tcp{host}, {sim::Endpoint{"one", 1}, sim::Endpoint{"two", 1}}},
            payment_policy(), Queue{std::move(*outbox)},
            SessionOptions{
                .id = Id{std::byte{1}}, .greeting_max = 1500ms, .heartbeat = payment_beats},
            Watch{this});
        host.attach(*sender_);
        sender_->start();
        work();
    }

private:
    void work() {
        host_.after(300ms, [this] { work(); });
        const std::uint64_t next = sender_->status().taken + 1;
        if (next > payments) return;
        run_.history.invoke("payment", next);
        if (!sender_->send(as_bytes(std::to_string(next)))) run_.wrong = "a payment was rejected";
    }

    sim::Host& host_;
    PaymentWorld& run_;
    std::optional<Sender> sender_{};
};

/// Freezes servers for longer than their leases, in three of four worlds.
void freeze_servers(sim::World& world) {
    sim::Scenario faults;
    for (std::uint64_t left = world.choose("frozen servers", 4); left != 0; --left) {
        const std::chrono::milliseconds from{world.choose("frozen from", 14'000)};
        const std::chrono::milliseconds lasts{2000 + world.choose("frozen for", 2500)};
        const char* const server = world.choose("which server", 2) == 0 ? "one" : "two";
        faults.during(from, from + lasts, sim::pause(server));
    }
    // If they were played before the first event, they would replace the faults that are drawn.
    if (!faults.empty()) world.after({}, [&world, faults] { world.play(faults); });
}

bool session_with_a_standby(sim::World& world) {
    PaymentWorld& run = world.make<PaymentWorld>(world);
    for (const char* const name : {"one", "two"}) {
        world.host(name, [&run](sim::Host& h) { return std::make_unique<PaymentServer>(h, run); });
    }
    world.host("client", [&run](sim::Host& h) { return std::make_unique<PaymentClient>(h, run); });
    freeze_servers(world);
    for (const char* const mark : {"fail-over", "two active servers", "commit of a former server",
                                   "commit without an answer"}) {
        world.reachable(mark);
    }
    world.always("no session is blocked", [&run] { return run.wrong; });
    world.run_for(20s);
    world.heal();
    if (!world.eventually("every payment is acknowledged", 30s,
                          [&run] { return run.delivered == payments; })) {
        return false;
    }
    for (const std::string& effect : run.effects) {
        run.history.effect("payment", std::stoull(effect));
    }
    return world.require("exactly once, and in order", exactly_once_in_order(run.history));
}

}  // namespace

TEST_CASE("Session delivers each operation once to an active and a standby server over one store",
          "[worlds][session][sim][property]") {
    const auto options =
        world_options({.kills = 3, .pauses = 4, .within = 18s, .lasts_max = 8s, .number_max = 16});
    CHECK(explored_as_wanted("session_standby", options, session_with_a_standby));
}
