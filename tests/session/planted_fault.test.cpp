// SPDX-License-Identifier: MIT
// Goal: the session protocol passes worlds that are hard on it, and these worlds find a journal or
// a ledger that breaks one of its promises. tests/scripts/mutants.py leaves rules out of the
// protocol itself, one by one; the same worlds must find each.
#include "support/catch.hpp"
#include "support/seeds.hpp"
#include "support/session/session_world.hpp"

using namespace belay;
using namespace belay_test;
using belay_test::for_each_seed;

namespace {

/// The promises that the journal breaks in this test case.
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

/// A journal that forgets, after a restart, what a journal must not.
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

/// What is wrong with one world; nothing if all is well.
std::string verdict_of(Seed seed, const SessionWorldOptions& options) {
    SessionWorld<Tampered> w{seed, options};
    const bool finished = w.run();
    const std::string verdict = w.verdict();
    return verdict.empty() && !finished ? "shut out" : verdict;
}

/// Whether worlds in which the journal breaks these promises, or the ledger is so wrong, are judged
/// bad; and the first one that is, with all promises kept, is not.
bool found(std::initializer_list<bool*> rules, SessionWorldOptions options) {
    for (std::uint64_t seed = 1; seed <= 4000; ++seed) {
        std::string verdict;
        {
            const PlantedFault plant{rules};
            verdict = verdict_of(Seed{seed}, options);
        }
        if (verdict.empty()) continue;
        options.ledger = {};
        const std::string sound = verdict_of(Seed{seed}, options);
        INFO("world " << seed << " with the fault: " << verdict << "; without: " << sound);
        CHECK(sound.empty());
        return sound.empty();
    }
    return false;
}

// Kills are close together, and the clock of the heartbeat slow, so that old connections live long.
SessionWorldOptions busy() {
    SessionWorldOptions o;
    o.operations = 60;
    o.adversary = {.server_kills = 6,
                   .client_kills = 4,
                   .partitions = 3,
                   .pauses = 3,
                   .half_opens = 3,
                   .drops = 4,
                   .cut_one_in = 20,
                   .within = 4s};
    o.receiver.commit_within = 20ms;
    o.dead_after = 900ms;
    return o;
}
SessionWorldOptions with_losses(int server, int client, int server_restores = 0,
                                int client_restores = 0) {
    SessionWorldOptions o = busy();
    o.adversary.server_losses = server;
    o.adversary.client_losses = client;
    o.adversary.server_restores = server_restores;
    o.adversary.client_restores = client_restores;
    return o;
}
/// An old connection's frames arrive when the new one was resumed already.
SessionWorldOptions with_slow_network() {
    SessionWorldOptions o = busy();
    o.latency_max = 300ms;
    o.dead_after = 400ms;
    return o;
}

/// BELAY_SEEDS / 5 worlds, and each is judged good.
void check_worlds(const SessionWorldOptions& options) {
    const std::uint64_t most =
        std::max<std::uint64_t>(1, belay_test::from_environment("BELAY_SEEDS", 2000) / 5);
    for_each_seed([&](Seed seed) { REQUIRE(verdict_of(seed, options) == ""); }, most);
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
TEST_CASE("Session goes on after the loss of the client's disk",
          "[session][planted_fault][sim][property]") {
    check_worlds(with_losses(0, 2));
}
TEST_CASE("Session reports that the server's disk went back to an older copy",
          "[session][planted_fault][sim][property]") {
    check_worlds(with_losses(0, 0, 1, 0));
}
TEST_CASE("Session reports that the client's disk went back to an older copy",
          "[session][planted_fault][sim][property]") {
    check_worlds(with_losses(0, 0, 0, 2));
}

TEST_CASE("DATA before the operation is durable is found", "[session][planted_fault][sim]") {
    CHECK(found({&Planted::sync_is_not_durable}, busy()));
}
TEST_CASE("A commit that is not durable is found", "[session][planted_fault][sim]") {
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
