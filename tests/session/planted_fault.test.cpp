// SPDX-License-Identifier: MIT
// Goal: the session protocol passes worlds that are hard on it, and these worlds find a journal or
// a ledger that breaks one of its promises. tests/scripts/mutants.py leaves rules out of the
// protocol itself, one by one; the same worlds must find each.
#include "support/catch.hpp"
#include "support/session/session_world.hpp"
#include "support/worlds/explored.hpp"

using namespace belay;
using namespace belay_test;

namespace {

/// The promises that a journal can break in these tests.
struct Planted {
    static inline bool same_id, same_run, forgets_pin, sync_is_not_durable;
};

/// Breaks promises for a scope.
class PlantedFault {
public:
    explicit PlantedFault(std::initializer_list<bool*> rules) : rules_{rules} {
        for (bool* const rule : rules_) *rule = true;
    }
    ~PlantedFault() {
        for (bool* const rule : rules_) *rule = false;
    }
    PlantedFault(const PlantedFault&) = delete;
    PlantedFault& operator=(const PlantedFault&) = delete;

private:
    std::vector<bool*> rules_;
};

/// A journal that loses data at a restart, although a journal must keep it.
struct Tampered : Journal<sim::Disk> {
    using J = Journal<sim::Disk>;
    explicit Tampered(J j) : J{std::move(j)} {}
    static Result<Tampered, JournalError> open(sim::Disk& d, std::string p, JournalOptions o) {
        auto j = J::open(d, std::move(p), o);
        if (!j) return j.error();
        return Tampered{std::move(*j)};
    }
    const Id& journal_id() const noexcept { return Planted::same_id ? id : J::journal_id(); }
    Result<std::uint64_t> check(std::uint64_t n) {
        if (Planted::same_id && n == 0) return belay::journal_format::first_check(id);
        return J::check(n);
    }
    std::uint32_t run() const noexcept { return Planted::same_run ? 1 : J::run(); }
    const Id& store_pin() const noexcept { return Planted::forgets_pin ? pin : J::store_pin(); }
    std::error_code pin_store(const Id& store) noexcept { return pin = store, J::pin_store(store); }
    std::uint64_t durable() const noexcept {
        return Planted::sync_is_not_durable ? last() : J::durable();
    }
    std::error_code commit() noexcept {
        return Planted::sync_is_not_durable ? std::error_code{} : J::commit();
    }
    Id id{std::byte{9}};
    Id pin{};
};

/// Returns whether worlds in which the journal breaks these promises, or the ledger has this fault,
/// fail. The first world that fails must pass when all promises are kept.
bool found(std::initializer_list<bool*> rules, SessionWorldOptions options) {
    const sim::Report report = [&] {
        const PlantedFault plant{rules};
        return explored_as_wanted(
            {.seeds = 4000, .scenario = options.faults, .shrink_worlds_max = 0, .print = false},
            session_body<Tampered>(options));
    }();
    if (!report.failing) return false;
    options.ledger = {};
    INFO("with the fault: " << report.text());
    CHECK(explored_as_wanted({.seed = report.failing->seed, .scenario = options.faults},
                             session_body<Tampered>(options)));
    return true;
}

// Kills are close together, and the clock of the heartbeat is slow, so that old connections live
// long.
SessionWorldOptions busy() {
    SessionWorldOptions o;
    o.operations = 60;
    o.faults.kills = 18;
    o.faults.pauses = o.faults.partitions = o.faults.half_opens = 3;
    o.faults.drops = 8;
    o.faults.cuts = 10;
    o.faults.number_max = 24;
    o.faults.lasts_max = 1200ms;
    o.faults.within = 4s;
    o.cut_one_in = 20;
    o.receiver.commit_within = 20ms;
    o.dead_after = 900ms;
    return o;
}
/// Connections live longer, so that messages that were sent long before their ends still arrive.
SessionWorldOptions calmer(SessionWorldOptions o) {
    o.faults.kills = 10;
    o.faults.half_opens = 6;
    o.faults.drops = 4;
    o.faults.cuts = 0;
    o.faults.lasts_max = 1500ms;
    return o;
}
SessionWorldOptions with_losses(int server, int client, int server_restores = 0,
                                int client_restores = 0) {
    SessionWorldOptions o = busy();
    o.server_losses = server;
    o.client_losses = client;
    o.server_restores = server_restores;
    o.client_restores = client_restores;
    return o;
}
/// Frames of an old connection arrive after the new one was resumed.
SessionWorldOptions with_slow_network() {
    SessionWorldOptions o = calmer(busy());
    o.latency_max = 300ms;
    o.dead_after = 400ms;
    return o;
}

/// Runs BELAY_SEEDS / 5 worlds, all of which must pass.
void check_worlds(const SessionWorldOptions& options) {
    const std::uint64_t seeds = from_environment("BELAY_SEEDS", 2000) / 5;
    CHECK(
        explored_as_wanted({.seeds = std::max<std::uint64_t>(1, seeds), .scenario = options.faults},
                           session_body<Tampered>(options)));
}

}  // namespace

TEST_CASE("Session delivers each operation once while both sides are killed often",
          "[session][planted_fault][sim][property]") {
    check_worlds(busy());
}
TEST_CASE("Session delivers each operation once over a slow network",
          "[session][planted_fault][sim][property]") {
    check_worlds(with_slow_network());
}
TEST_CASE("Session reports the loss of the server's disk",
          "[session][planted_fault][sim][property]") {
    check_worlds(with_losses(1, 0));
}
TEST_CASE("Session continues after the loss of the client's disk",
          "[session][planted_fault][sim][property]") {
    check_worlds(with_losses(0, 2));
}
TEST_CASE("Session reports that the server's disk went back to an older copy",
          "[session][planted_fault][sim][property]") {
    check_worlds(with_losses(0, 0, 1, 0));
}
TEST_CASE("Session reports that the client's disk went back to an older copy",
          "[session][planted_fault][sim][property]") {
    check_worlds(calmer(with_losses(0, 0, 0, 2)));
}

TEST_CASE("DATA before the operation is durable is detected", "[session][planted_fault][sim]") {
    CHECK(found({&Planted::sync_is_not_durable}, busy()));
}
TEST_CASE("A commit that is not durable is detected", "[session][planted_fault][sim]") {
    SessionWorldOptions o = busy();
    o.ledger.commit_is_not_durable = true;
    CHECK(found({}, o));
}
TEST_CASE("A receiver that stores the record before the effect is detected",
          "[session][planted_fault][sim]") {
    SessionWorldOptions o = busy();
    o.ledger.record_first = true;
    CHECK(found({}, o));
}
TEST_CASE("A receiver that stores the effect before the record is detected",
          "[session][planted_fault][sim]") {
    SessionWorldOptions o = busy();
    o.ledger.effect_first = true;
    CHECK(found({}, o));
}
TEST_CASE("A fresh journal with the old id is detected", "[session][planted_fault][sim]") {
    CHECK(found({&Planted::same_id}, with_losses(0, 1)));
}
TEST_CASE("A pin that is not durable is detected", "[session][planted_fault][sim]") {
    CHECK(found({&Planted::forgets_pin}, with_losses(1, 0)));
}
TEST_CASE("A run number that is not durable is detected", "[session][planted_fault][sim]") {
    CHECK(found({&Planted::same_run}, busy()));
}
