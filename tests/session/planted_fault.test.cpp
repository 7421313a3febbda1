// SPDX-License-Identifier: MIT
// Goal: each rule of the session protocol that is left out is found by the same worlds that pass
// with it.
#include <belay/session/detail/planted_fault.hpp>

#include "support/catch.hpp"
#include "support/seeds.hpp"
#include "support/session/session_world.hpp"

using namespace belay;
using namespace belay_test;
using belay_test::for_each_seed;

namespace {

/// The rules that are left out in this test case; one instantiation serves them all.
struct Planted {
    static inline bool no_fence, resume_unsettled, ack_before_commit, adopt_at_hello,
        adopt_with_old_attach, accept_unknown_journal, no_duplicate_check, no_check,
        resume_from_memory, resend_from_acked, pin_at_welcome, never_pin;
    // Of the journal.
    static inline bool same_id, same_run, forgets_pin, sync_lies;
};

/// Leaves rules out for a scope.
class Plant {
public:
    explicit Plant(std::initializer_list<bool*> rules) : rules_{rules} {
        for (bool* const rule : rules_) *rule = true;
    }
    ~Plant() {
        for (bool* const rule : rules_) *rule = false;
    }
    Plant(const Plant&) = delete;
    Plant& operator=(const Plant&) = delete;

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
    std::uint64_t durable() const noexcept { return Planted::sync_lies ? last() : J::durable(); }
    std::error_code commit() noexcept {
        return Planted::sync_lies ? std::error_code{} : J::commit();
    }
    Id id{std::byte{9}};
    Id pin{};
};

/// What is wrong with one world; nothing if all is well.
std::string judged(Seed seed, const SessionWorldOptions& options) {
    SessionWorld<Planted, Tampered> w{seed, options};
    const bool finished = w.run();
    const std::string verdict = w.verdict();
    return verdict.empty() && !finished ? "shut out" : verdict;
}

/// Whether worlds in which these rules are left out, or the ledger is so wrong, are judged bad; and
/// the first one that is, with all rules kept, is not.
bool found(std::initializer_list<bool*> rules, SessionWorldOptions options) {
    for (std::uint64_t seed = 1; seed <= 4000; ++seed) {
        std::string verdict;
        {
            const Plant plant{rules};
            verdict = judged(Seed{seed}, options);
        }
        if (verdict.empty()) continue;
        options.ledger = {};
        const std::string sound = judged(Seed{seed}, options);
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

}  // namespace

TEST_CASE("The sound protocol passes the worlds in which the faults are planted",
          "[session][planted_fault][sim][property]") {
    const std::uint64_t most =
        std::max<std::uint64_t>(1, belay_test::from_environment("BELAY_SEEDS", 2000) / 5);
    for (const SessionWorldOptions& options : {busy(), with_losses(1, 0), with_losses(0, 2),
                                               with_losses(0, 0, 1, 0), with_losses(0, 0, 0, 2)}) {
        for_each_seed([&](Seed seed) { REQUIRE(judged(seed, options) == ""); }, most);
    }
}

TEST_CASE("Serving every connection is found", "[session][planted_fault][sim]") {
    // The fence and the duplicate check cover for each other; without both, old connections repeat.
    // What an old connection has in flight must come after the new one was resumed: a slow network.
    SessionWorldOptions o = busy();
    o.latency_max = 300ms;
    o.dead_after = 400ms;
    CHECK(found({&Planted::no_fence, &Planted::no_duplicate_check}, o));
}
TEST_CASE("DATA before the operation is durable is found", "[session][planted_fault][sim]") {
    CHECK(found({&Planted::sync_lies}, busy()));
}
TEST_CASE("ACK before the commit is found", "[session][planted_fault][sim]") {
    CHECK(found({&Planted::ack_before_commit}, busy()));
}
TEST_CASE("A commit that is not durable is found", "[session][planted_fault][sim]") {
    SessionWorldOptions o = busy();
    o.ledger.commit_lies = true;
    CHECK(found({}, o));
}
TEST_CASE("A resume answered with unsettled progress is found", "[session][planted_fault][sim]") {
    CHECK(found({&Planted::resume_unsettled}, busy()));
}
TEST_CASE("The record before the effect is found", "[session][planted_fault][sim]") {
    SessionWorldOptions o = busy();
    o.ledger.record_first = true;
    CHECK(found({}, o));
}
TEST_CASE("The effect before the record is found", "[session][planted_fault][sim]") {
    SessionWorldOptions o = busy();
    o.ledger.effect_first = true;
    CHECK(found({}, o));
}
TEST_CASE("A resume from the sender's memory is found", "[session][planted_fault][sim]") {
    CHECK(found({&Planted::resume_from_memory}, busy()));
}
TEST_CASE("Resending what was acknowledged to a receiver that does not check is found",
          "[session][planted_fault][sim]") {
    CHECK(found({&Planted::resend_from_acked, &Planted::no_duplicate_check}, busy()));
}
TEST_CASE("A fresh journal with the old id is found", "[session][planted_fault][sim]") {
    CHECK(found({&Planted::same_id}, with_losses(0, 1)));
}
TEST_CASE("An adoption with the old journal's attach is found", "[session][planted_fault][sim]") {
    CHECK(found({&Planted::adopt_with_old_attach}, with_losses(0, 2)));
}
TEST_CASE("A store pinned at WELCOME is found", "[session][planted_fault][sim]") {
    CHECK(found({&Planted::pin_at_welcome}, busy()));
}
TEST_CASE("A pin that is not durable is found", "[session][planted_fault][sim]") {
    CHECK(found({&Planted::forgets_pin}, with_losses(1, 0)));
}
TEST_CASE("An unknown journal accepted at any number is found", "[session][planted_fault][sim]") {
    CHECK(found({&Planted::accept_unknown_journal, &Planted::never_pin}, with_losses(1, 0)));
}
TEST_CASE("Comparing no checks is found", "[session][planted_fault][sim]") {
    CHECK(found({&Planted::no_check}, with_losses(0, 0, 0, 2)));
}
TEST_CASE("A run number that is not durable is found", "[session][planted_fault][sim]") {
    CHECK(found({&Planted::same_run}, busy()));
}
