// SPDX-License-Identifier: MIT
// Goal: check::ledger accepts correct ledgers, and reports each planted mistake. Method: the
// ledgers of the examples and of the tests; a ledger in memory with one mistake each.
#include <belay/session/ledger_check.hpp>

#include "../examples/ledger_in_memory.hpp"
#include "support/catch.hpp"
#include "support/session/sim_ledger.hpp"

using namespace belay;
using namespace belay_test;

namespace {

[[nodiscard]] std::string verdict_on(const std::optional<check::LedgerFault>& fault) {
    if (!fault) return "right";
    return std::string{to_string(fault->rule)} + ", history " + std::to_string(fault->history) +
           ", step " + std::to_string(fault->step);
}

/// A ledger on a disk whose power fails at every second reopening.
struct LedgerDisk {
    sim::Disk disk{};
    LedgerFaults faults{};
    std::uint64_t openings = 0;
    Random bits{Seed{7}};

    [[nodiscard]] std::optional<check::LedgerFault> check() {
        return check::ledger(
            [&] {
                disk.restore({});
                return open();
            },
            [&] {
                if (++openings % 2 == 0) disk.crash(bits);
                return open();
            },
            [](const SimLedger& ledger) { return ledger.effects().size(); }, {.histories = 40});
    }
    [[nodiscard]] SimLedger open() { return {disk, bits, faults}; }
};

/// The fault of a WrongLedger. The comment of each names the rule that it breaks.
enum class LedgerMistake {
    none,
    zero_id,                 // has_a_store_id
    same_id,                 // store_ids_differ
    new_id_when_opened,      // keeps_its_store_id
    knows_everyone,          // starts_empty
    fails_empty,             // accepts_valid_calls
    adopt_keeps_attach,      // adopt_stores_progress
    apply_counts,            // apply_stores_progress
    apply_sets_applied,      // apply_stores_progress
    applies_nothing,         // apply_stores_progress
    returns_nothing,         // adopt_stores_progress
    returns_committed,       // apply_stores_progress
    commit_forgets,          // commit_keeps_progress
    cuts_the_sender,         // separates_senders
    move_forgets,            // move_keeps_everything
    adopt_is_lost,           // adopt_is_durable
    commit_is_lost,          // commit_is_durable
    drops_high_bits,         // reopening_returns_whole_progress
    takes_effect_twice,      // effects_match_progress
    effects_are_lost,        // effects_match_progress
    effects_come_too_early,  // effects_match_progress
    count
};

[[nodiscard]] check::LedgerRule rule_of(LedgerMistake mistake) {
    using Rule = check::LedgerRule;
    constexpr Rule rules[] = {Rule::has_a_store_id,         Rule::has_a_store_id,
                              Rule::store_ids_differ,       Rule::keeps_its_store_id,
                              Rule::starts_empty,           Rule::accepts_valid_calls,
                              Rule::adopt_stores_progress,  Rule::apply_stores_progress,
                              Rule::apply_stores_progress,  Rule::apply_stores_progress,
                              Rule::adopt_stores_progress,  Rule::apply_stores_progress,
                              Rule::commit_keeps_progress,  Rule::separates_senders,
                              Rule::move_keeps_everything,  Rule::adopt_is_durable,
                              Rule::commit_is_durable,      Rule::reopening_returns_whole_progress,
                              Rule::effects_match_progress, Rule::effects_match_progress,
                              Rule::effects_match_progress};
    static_assert(sizeof rules / sizeof rules[0] == static_cast<std::size_t>(LedgerMistake::count));
    return rules[static_cast<std::size_t>(mistake)];
}

/// Everything that a WrongLedger has durably.
struct WrongStore {
    Id id{};
    std::map<Id, Progress> progress{};
    std::uint64_t effects = 0;
};

/// A ledger in memory that loses what was not committed when it is opened again.
class WrongLedger {
public:
    WrongLedger(LedgerMistake mistake, WrongStore& store)
        : mistake_{mistake}, store_{&store}, now_{store} {
        if (mistake == LedgerMistake::drops_high_bits) {
            for (auto& [sender, p] : now_.progress) p.check = static_cast<std::uint32_t>(p.check);
        }
    }
    WrongLedger(WrongLedger&& other) noexcept
        : mistake_{other.mistake_}, store_{other.store_}, now_{std::move(other.now_)} {
        if (mistake_ == LedgerMistake::move_forgets) now_.progress.clear();
    }
    WrongLedger& operator=(WrongLedger&&) = delete;
    ~WrongLedger() = default;

    [[nodiscard]] const Id& store_id() const noexcept { return now_.id; }
    [[nodiscard]] std::uint64_t effects() const noexcept { return now_.effects; }
    [[nodiscard]] std::optional<Progress> progress(const Id& sender) const {
        const auto& from =
            mistake_ == LedgerMistake::returns_committed ? store_->progress : now_.progress;
        const auto found = from.find(key(sender));
        if (mistake_ == LedgerMistake::knows_everyone && found == from.end()) return Progress{};
        if (mistake_ == LedgerMistake::returns_nothing || found == from.end()) return std::nullopt;
        return found->second;
    }
    std::error_code adopt(const Id& sender, Progress p) {
        Progress& stored = now_.progress[key(sender)];
        if (mistake_ == LedgerMistake::adopt_keeps_attach) p.attach = stored.attach;
        stored = p;
        return mistake_ == LedgerMistake::adopt_is_lost ? std::error_code{} : store();
    }
    std::error_code apply(const Id& sender, const Progress& p, BytesView operation) {
        Progress& stored = now_.progress[key(sender)];
        if (mistake_ == LedgerMistake::fails_empty && operation.empty())
            return std::make_error_code(std::errc::invalid_argument);
        if (mistake_ == LedgerMistake::apply_counts) {
            ++stored.applied;
        } else if (mistake_ == LedgerMistake::apply_sets_applied) {
            stored.applied = p.applied;
        } else if (mistake_ != LedgerMistake::applies_nothing) {
            stored = p;
        }
        now_.effects += mistake_ == LedgerMistake::takes_effect_twice && p.applied == 7 ? 2 : 1;
        if (mistake_ == LedgerMistake::effects_come_too_early) store_->effects = now_.effects;
        return {};
    }
    std::error_code commit() {
        if (mistake_ == LedgerMistake::commit_forgets) now_.progress.clear();
        return mistake_ == LedgerMistake::commit_is_lost ? std::error_code{} : store();
    }

private:
    std::error_code store() {
        store_->progress = now_.progress;
        if (mistake_ != LedgerMistake::effects_are_lost) store_->effects = now_.effects;
        return {};
    }
    [[nodiscard]] Id key(Id sender) const noexcept {
        if (mistake_ == LedgerMistake::cuts_the_sender) sender.back() = {};
        return sender;
    }

    LedgerMistake mistake_;
    WrongStore* store_;
    WrongStore now_;
};

[[nodiscard]] std::optional<check::LedgerFault> check_with(LedgerMistake mistake) {
    WrongStore store;
    Random bits{Seed{3}};
    return check::ledger(
        [&] {
            store = {.id = make_id(bits)};
            if (mistake == LedgerMistake::zero_id) store.id = no_id;
            if (mistake == LedgerMistake::same_id) store.id = Id{std::byte{42}};
            return WrongLedger{mistake, store};
        },
        [&] {
            if (mistake == LedgerMistake::new_id_when_opened) store.id = make_id(bits);
            return WrongLedger{mistake, store};
        },
        [](const WrongLedger& ledger) { return ledger.effects(); }, {.histories = 20});
}

}  // namespace

TEST_CASE("check::ledger finds no fault in the ledgers of the examples and of the tests",
          "[session][ledger_check][unit]") {
    LedgerStorage storage;
    Random bits{Seed{1}};
    const auto make = [&] {
        storage = {.store = make_id(bits), .progress = {}, .delivered = {}};
        return LedgerInMemory{storage};
    };
    CHECK(verdict_on(check::ledger(make)) == "right");
    CHECK(verdict_on(check::ledger(
              make, [&] { return LedgerInMemory{storage}; },
              [&](const auto&) { return storage.delivered.size(); })) == "right");
    CHECK(verdict_on(check_with(LedgerMistake::none)) == "right");
}

TEST_CASE("check::ledger finds no fault in a ledger on a disk over losses of power",
          "[session][ledger_check][fault]") {
    CHECK(verdict_on(LedgerDisk{}.check()) == "right");
}

TEST_CASE("SimLedger reports a failure of its disk when it is opened, and loses nothing by it",
          "[session][ledger_check][fault]") {
    const Id sender{std::byte{1}};
    const Progress first{.journal = Id{std::byte{2}}, .attach = 1};
    Random bits{Seed{7}};
    for (const bool is_there : {false, true}) {
        sim::Disk disk;
        if (is_there) {
            SimLedger before{disk, bits};
            REQUIRE_FALSE(before.adopt(sender, first));
        }
        std::uint64_t failures = 0;
        for (std::uint64_t number = 1;; ++number) {
            sim::Disk copy;
            copy.restore(disk.image());
            copy.fail_at(copy.operations() + number, std::make_error_code(std::errc::io_error));
            SimLedger ledger{copy, bits};
            if (!ledger.failed()) break;
            ++failures;
            CHECK(ledger.failed() == std::errc::io_error);
            CHECK(ledger.adopt(sender, first) == std::errc::io_error);
            CHECK(ledger.apply(sender, first, as_bytes("x")) == std::errc::io_error);
            CHECK(ledger.commit() == std::errc::io_error);
            SimLedger again{copy, bits};
            REQUIRE_FALSE(again.failed());
            if (!is_there) REQUIRE_FALSE(again.adopt(sender, first));
            const Id id = again.store_id();
            copy.crash(bits);
            const SimLedger last{copy};
            CHECK(last.store_id() == id);
            CHECK(last.progress(sender).has_value());
        }
        CHECK(failures == (is_there ? 3 : 4));
    }
}

TEST_CASE("SimLedger writes again what an earlier process could not sync",
          "[session][ledger_check][fault]") {
    const Id sender{std::byte{1}};
    const Progress first{.journal = Id{std::byte{2}}, .attach = 1};
    Random bits{Seed{7}};
    sim::Disk disk;
    SimLedger before{disk, bits};
    disk.fail_at(disk.operations() + 2, std::make_error_code(std::errc::io_error));
    REQUIRE(before.adopt(sender, first) == std::errc::io_error);
    disk.kill();
    REQUIRE(SimLedger{disk, bits}.progress(sender).has_value());
    disk.crash(bits);
    CHECK(SimLedger{disk}.progress(sender).has_value());
}

TEST_CASE("check::ledger finds faults of a ledger on a disk that only a loss of power shows",
          "[session][ledger_check][fault]") {
    const auto rule_with = [](const LedgerFaults& faults) {
        const auto fault = LedgerDisk{.faults = faults}.check();
        REQUIRE(fault);
        return std::string{to_string(fault->rule)};
    };
    using Rule = check::LedgerRule;
    CHECK(rule_with({.commit_is_not_durable = true}) == to_string(Rule::commit_is_durable));
    CHECK(rule_with({.record_first = true}) == to_string(Rule::effects_match_progress));
    CHECK(rule_with({.effect_first = true}) == to_string(Rule::effects_match_progress));
    CHECK(rule_with({.no_store_id = true}) == to_string(Rule::store_ids_differ));
}

TEST_CASE("check::ledger reports the rule that each planted mistake breaks",
          "[session][ledger_check][unit]") {
    for (int i = 1; i < static_cast<int>(LedgerMistake::count); ++i) {
        const auto mistake = static_cast<LedgerMistake>(i);
        const auto fault = check_with(mistake);
        INFO("mistake " << i);
        REQUIRE(fault);
        CHECK(std::string{to_string(fault->rule)} == to_string(rule_of(mistake)));
        // The same ledger has the same fault again.
        CHECK(verdict_on(check_with(mistake)) == verdict_on(fault));
    }
}
