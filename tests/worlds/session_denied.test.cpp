// SPDX-License-Identifier: MIT
// Goal: a Session whose process has no descriptors or no permissions for a while, also while it
// pins its first receiver, loses nothing, is not blocked, and delivers all soon after. Method:
// exploration. The journal has several files before the first connection, and the disk is full at
// times.
#include <memory>
#include <optional>
#include <string>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/caps.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/journal/journal.hpp>
#include <belay/link/heartbeat.hpp>
#include <belay/policy/rules.hpp>
#include <belay/session/session.hpp>

#include "support/worlds/denied_disk.hpp"
#include "support/worlds/explored.hpp"
#include "support/worlds/ledger_server.hpp"
#include "support/worlds/watched_tcp.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

constexpr std::uint64_t denied_parcels = 60;
constexpr HeartbeatOptions denied_beats{.every = 1s, .dead_after = 2500ms};

auto denied_policy() {
    return Policy{Backoff{EqualJitter{}, Cap{2s}, 200ms}, ResetWhenStable{3s}, AttemptTimeout{2s}};
}

/// The observations of the test. They outlive the processes.
struct DeniedWorld {
    explicit DeniedWorld(sim::World& w) : world{w}, disk{w}, history{w.clock()} {}

    sim::World& world;
    DeniedDisk disk;
    sim::History history;
    std::string wrong{};
    std::uint64_t delivered = 0;
    std::uint32_t starts = 0;
};

/// Sends denied_parcels 1 to 60. Its journal knows which it has taken.
class DeniedClient {
    using Outbox = Journal<DeniedDisk>;
    using Transport = Heartbeat<WatchedTcp>;

    struct Watch {
        DeniedClient* client;
        void on_state(const Transition& change) { client->on_state(change); }
        void on_acknowledged(std::uint64_t up_to) { client->on_acknowledged(up_to); }
        void on_blocked(Blocked why, const BlockedDetails&) { client->on_blocked(why); }
    };
    using Sender = Session<Transport, decltype(denied_policy()), Queue<Outbox>, Watch>;

public:
    DeniedClient(sim::Host& host, DeniedWorld& run)
        : host_{host}, run_{run}, record_{&run.history, "client " + std::to_string(++run.starts)} {
        auto outbox = Outbox::open(
            run.disk.over(host.disk()), "data/outbox",
            {.segment_bytes = 4096, .record_bytes_max = 512, .seed = Seed{run.world.bits()()}});
        if (!outbox) {
            run.world.reach("the journal does not open");
            exit_and_restart(run.world, host);
            return;
        }
        sender_.emplace(
            Transport{WatchedTcp{host, record_, "server"}, denied_beats}, denied_policy(),
            Queue{std::move(*outbox)},
            SessionOptions{
                .id = Id{std::byte{1}}, .greeting_max = 1500ms, .heartbeat = denied_beats},
            Watch{this});
        host.attach(*sender_);
        sender_->start();
        work();
    }

private:
    void work() {
        host_.after(150ms, [this] { work(); });
        const std::uint64_t next = sender_->status().taken + 1;
        if (next > denied_parcels) return;
        run_.history.invoke("parcel", next);
        const auto taken = sender_->send(as_bytes(std::to_string(next) + std::string(300, ' ')));
        if (taken && *taken != next) run_.wrong = "send returned another number";
        if (!taken) run_.world.reach("a parcel is not taken");
    }
    void on_state(const Transition& change) {
        const LinkStatus& now = change.to;
        const bool waits = now.state == LinkState::cooldown || now.state == LinkState::suspended;
        record_.not_before = waits ? now.retry_at : always;
        const std::error_code error = now.failure.error();
        if (error == std::errc::too_many_files_open) run_.world.reach("no descriptors");
        if (error == std::errc::permission_denied) run_.world.reach("no permission");
        if (error == std::errc::io_error) run_.world.reach("an I/O error");
        if (record_.early_dials != 0) run_.wrong = "a dial before the end of the wait";
        if (now.state == LinkState::failed && sender_->status().blocked == Blocked::none) {
            run_.wrong = "the link has failed: " + now.failure.message();
        }
    }
    void on_acknowledged(std::uint64_t up_to) {
        while (run_.delivered < up_to) run_.history.succeed("parcel", ++run_.delivered);
    }
    void on_blocked(Blocked why) {
        const std::error_code failed = sender_->queue().storage().failed();
        if (why != Blocked::journal_failed || !failed) {
            run_.wrong = "the session is blocked, and its journal has lost nothing: " +
                         std::string{to_string(why)} + ", " +
                         sender_->status().link.failure.message();
            return;
        }
        run_.world.reach("journal failed");
        exit_and_restart(run_.world, host_);
    }

    sim::Host& host_;
    DeniedWorld& run_;
    ConnectionRecord record_;
    std::optional<Sender> sender_{};
};

bool session_over_denied_disk(sim::World& world) {
    DeniedWorld& run = world.make<DeniedWorld>(world);
    run.disk.deny_at_times(18s);
    const std::chrono::milliseconds late{world.choose("the server starts after", 8000)};
    sim::Host& server = world.host("server", [&world, late](sim::Host& h) {
        struct Late {
            std::unique_ptr<LedgerServer> server{};
        };
        auto late_server = std::make_unique<Late>();
        const Duration left = h.starts() == 1 ? Duration{late} : 0ms;
        h.after(left, [&world, &h, process = late_server.get()] {
            process->server = std::make_unique<LedgerServer>(h, world, denied_beats);
        });
        return late_server;
    });
    world.host("client", [&run](sim::Host& h) { return std::make_unique<DeniedClient>(h, run); });
    fill_disk_at_times(world, "client", 18'000);
    for (const char* const mark : {"no descriptors", "no permission", "an I/O error",
                                   "a parcel is not taken", "the journal does not open"}) {
        world.reachable(mark);
    }
    world.always("the rules of the parts", [&run] { return run.wrong; });
    world.run_for(20s);
    world.heal();
    run.disk.end();
    if (!world.eventually("every parcel is acknowledged", 30s,
                          [&run] { return run.delivered == denied_parcels; })) {
        return false;
    }
    read_effects(server, "parcel", run.history);
    return world.require("exactly once, and in order", exactly_once_in_order(run.history));
}

}  // namespace

TEST_CASE("Session without descriptors or permissions for a while delivers each parcel once",
          "[worlds][session_denied][sim][property]") {
    const auto options = world_options({.disk_errors = 1,
                                        .late_disk_errors = 1,
                                        .exhaustions = 2,
                                        .within = 18s,
                                        .lasts_max = 6s,
                                        .number_max = 16});
    CHECK(explored_as_wanted("session_denied", options, session_over_denied_disk));
}
