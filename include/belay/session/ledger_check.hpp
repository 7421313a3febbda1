// SPDX-License-Identifier: MIT
/// \file belay/session/ledger_check.hpp
/// check::ledger: tests whether a ledger is correct; session.hpp does not include it.
/// check::LedgerRule: the rules that the compiler cannot check.
#pragma once

#include <algorithm>    // std::find
#include <concepts>     // std::invocable, std::same_as
#include <cstddef>      // std::size_t
#include <cstdint>      // std::uint64_t, std::uint8_t
#include <memory>       // std::make_unique, std::unique_ptr
#include <optional>     // std::nullopt, std::optional
#include <type_traits>  // std::remove_cvref_t
#include <utility>      // std::as_const, std::declval, std::exchange, std::move
#include <vector>       // std::vector

#include <belay/core/assert.hpp>
#include <belay/core/detail/rule_check.hpp>
#include <belay/core/random.hpp>
#include <belay/journal/journal_format.hpp>
#include <belay/session/ledger_like.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace check {

/// The rules for a ledger that the compiler cannot check.
///
/// LedgerLike explains them.
enum class LedgerRule : std::uint8_t {
    has_a_store_id,
    store_ids_differ,
    keeps_its_store_id,
    starts_empty,
    accepts_valid_calls,
    adopt_stores_progress,
    apply_stores_progress,
    commit_keeps_progress,
    separates_senders,
    move_keeps_everything,
    adopt_is_durable,
    commit_is_durable,
    reopening_returns_whole_progress,
    effects_match_progress
};

/// Returns the rule as a sentence.
[[nodiscard]] constexpr const char* to_string(LedgerRule rule) noexcept {
    constexpr const char* sentences[] = {
        "store_id() is not all zeros",
        "each new ledger has a store id of its own",
        "store_id() stays the same, also when the ledger is moved or opened again",
        "progress returns nothing for a sender that was never adopted",
        "adopt, apply and commit accept valid arguments",
        "after adopt(sender, p), progress(sender) returns p, with all four fields",
        "after apply(sender, p, operation), progress(sender) returns p, with all four fields",
        "commit changes no progress",
        "a call for one sender changes the progress of no other sender",
        "a moved ledger keeps everything",
        "what adopt has stored is there when the ledger is opened again",
        "what was committed is there when the ledger is opened again",
        "a ledger that is opened again returns progress that it was given, with all four fields",
        "each operation up to the progress has taken effect once, and no other operation has"};
    return detail::sentence_of(rule, sentences);
}

/// A fault that check::ledger found in a ledger.
struct LedgerFault {
    /// The rule that is broken.
    LedgerRule rule{};
    /// The number of the history that broke it. The same ledger breaks it in the same history
    /// again.
    std::uint64_t history = 0;
    /// The number of steps before the fault.
    std::uint64_t step = 0;
};

}  // namespace check

namespace detail {

struct NeverReopenedLedger {
    void operator()() const noexcept {}
};
struct UncountedEffects {
    void operator()(const auto& /*ledger*/) const noexcept {}
};

template <class Make>
using MadeBy = std::remove_cvref_t<decltype(std::declval<Make&>()())>;

[[nodiscard]] inline Bytes random_operation(Random& bits) {
    Bytes operation(static_cast<std::size_t>(bits() % 41));
    for (std::byte& b : operation) b = static_cast<std::byte>(bits());
    return operation;
}

/// Which history is played.
struct LedgerPlay {
    Random bits;
    std::size_t senders;
    Bytes (*operation)(Random& bits);
};

template <class Make, class Reopen, class Effects>
class LedgerChecker : public RuleCheck<check::LedgerRule> {
    using L = MadeBy<Make>;
    static_assert(explain::ledger_like<L>());
    using State = std::optional<Progress>;

    struct Sender {
        Id id{};
        /// The progress that a reopened ledger may have. The first is durable, the last is
        /// current.
        std::vector<State> states{State{}};
        bool adopted_last = false;
    };

public:
    LedgerChecker(Make& make, Reopen& reopen, Effects& effects, LedgerPlay play)
        : reopen_{reopen}, effects_{effects}, play_{play}, ledger_{std::make_unique<L>(make())} {
        store_id_ = ledger_->store_id();
        expect(store_id_ != no_id, Rule::has_a_store_id);
        // Ids that differ in one byte, with bytes that have a meaning in text.
        Id id = make_id(play_.bits);
        id[0] = std::byte{0};
        id[1] = std::byte{'\n'};
        id[2] = std::byte{'\''};
        stranger_ = id;
        for (std::size_t i = 0; i < play_.senders; ++i) {
            id.back() = static_cast<std::byte>(std::to_integer<unsigned>(id.back()) + 1);
            senders_.push_back({.id = id});
        }
        look(nullptr, Rule::starts_empty);
    }

    void differs_from(const Id& other) { expect(store_id_ != other, Rule::store_ids_differ); }

    void step() {
        // First one thing at a time, so that a simple fault is reported under its name.
        switch (steps_++) {
            case 0:
                return adopt(senders_[0]);
            case 1:
                return move();
            case 2:
                return reopen();
            case 3:
                return apply(senders_[0]);
            case 4:
                return commit();
            case 5:
                return reopen();
            default:
                return any_step();
        }
    }

    [[nodiscard]] const Id& store_id() const noexcept { return store_id_; }

private:
    void any_step() {
        Sender& sender = senders_[play_.bits() % senders_.size()];
        const std::uint64_t what = play_.bits() % 100;
        if (what < 60) return apply(sender);
        if (what < 75) return commit();
        if (what < 82) return adopt(sender);
        if (what < 88) return move();
        reopen();
    }

    void adopt(Sender& sender) {
        commit();
        const State& before = sender.states.back();
        const Id journal = make_id(play_.bits);
        const Progress p{.journal = journal,
                         .attach = next_attach(before ? before->attach : 0),
                         .applied = 0,
                         .check = journal_format::first_check(journal)};
        expect(!ledger_->adopt(sender.id, p), Rule::accepts_valid_calls);
        sender.states.assign(1, p);
        sender.adopted_last = true;
        look(&sender, Rule::adopt_stores_progress);
    }
    void apply(Sender& sender) {
        if (!sender.states.back()) return adopt(sender);
        Progress p = *sender.states.back();
        // Another connection continues the journal.
        if (play_.bits() % 8 == 0) p.attach = next_attach(p.attach);
        const Bytes operation = play_.operation(play_.bits);
        const auto salt = static_cast<std::uint32_t>(play_.bits());
        ++p.applied;
        p.check = journal_format::next_check(p.check, operation, salt);
        expect(!ledger_->apply(sender.id, p, operation), Rule::accepts_valid_calls);
        ++applied_;
        sender.states.push_back(p);
        look(&sender, Rule::apply_stores_progress);
    }
    void commit() {
        expect(!ledger_->commit(), Rule::accepts_valid_calls);
        for (Sender& each : senders_) {
            if (each.states.size() > 1) each.adopted_last = false;
            each.states.erase(each.states.begin(), each.states.end() - 1);
        }
        look(nullptr, Rule::commit_keeps_progress);
    }
    void move() {
        ledger_ = std::make_unique<L>(std::move(*ledger_));
        look(nullptr, Rule::move_keeps_everything);
    }
    void reopen() {
        if constexpr (!std::same_as<Reopen, NeverReopenedLedger>) {
            ledger_.reset();
            ledger_ = std::make_unique<L>(reopen_());
            for (Sender& each : senders_) settle(each);
            look(nullptr, Rule::commit_is_durable);
        }
    }
    /// Compares what a sender has after a reopening with what it may have.
    void settle(Sender& sender) {
        std::vector<State>& states = sender.states;
        const State got = std::as_const(*ledger_).progress(sender.id);
        if (std::find(states.begin(), states.end(), got) == states.end()) {
            const State& durable = states.front();
            const bool older = durable && (!got || got->journal != durable->journal ||
                                           got->applied < durable->applied);
            return expect(false, !older                ? Rule::reopening_returns_whole_progress
                                 : sender.adopted_last ? Rule::adopt_is_durable
                                                       : Rule::commit_is_durable);
        }
        if (got) applied_ -= states.back()->applied - got->applied;
        states.assign(1, got);
    }

    /// Checks everything that the ledger returns. `changed` is the sender of the last call.
    void look(const Sender* changed, Rule rule) {
        if (broken_) return;
        const L& ledger = *ledger_;
        expect(ledger.store_id() == store_id_, Rule::keeps_its_store_id);
        for (const Sender& each : senders_) {
            const bool other = changed != nullptr && changed != &each;
            expect(ledger.progress(each.id) == each.states.back(),
                   other ? Rule::separates_senders : rule);
        }
        expect(!ledger.progress(stranger_), Rule::starts_empty);
        if constexpr (!std::same_as<Effects, UncountedEffects>) {
            expect(static_cast<std::uint64_t>(effects_(ledger)) == applied_,
                   Rule::effects_match_progress);
        }
    }
    /// Sometimes the sender was restarted, which the upper half of the number counts.
    [[nodiscard]] std::uint64_t next_attach(std::uint64_t attach) {
        return play_.bits() % 4 == 0 ? ((attach >> 32U) + 1) << 32U : attach + 1;
    }

    Reopen& reopen_;
    Effects& effects_;
    LedgerPlay play_;
    std::unique_ptr<L> ledger_;
    Id store_id_{};
    Id stranger_{};
    std::vector<Sender> senders_;
    std::uint64_t steps_ = 0;
    std::uint64_t applied_ = 0;  // the operations that must have taken effect
};

}  // namespace detail

namespace check {

/// The extent of the tests of check::ledger.
struct LedgerOptions {
    /// The number of histories.
    std::uint64_t histories = 100;
    /// The number of steps in a history: operations, commits, new journals, moves and reopenings.
    std::uint64_t steps = 200;
    /// The number of senders, from 1 to 200.
    std::size_t senders = 3;
    /// Makes an operation that the ledger accepts. The default makes up to 40 random bytes.
    Bytes (*operation)(Random& bits) = detail::random_operation;
};

/// Runs random histories of some senders on a ledger, and returns the first fault.
///
/// Returns nothing if there is no fault. It calls the ledger as a Receiver does: it commits before
/// each `adopt`, and applies the operations of a journal in order.
///
///     const auto fault = check::ledger([&] { return Mine::create(path); },
///                                      [&] { return Mine::open(path); });
///     if (fault) std::puts(to_string(fault->rule));
///
/// - `make()` returns a new, empty ledger, with an id of its own.
/// - `reopen()` opens the ledger that `make` returned last again, after its object was destroyed.
///   The ledger may lose what was not committed, so you may simulate a crash.
/// - `effects(ledger)` returns the number of operations that have taken effect. With it, the check
///   compares effects and progress.
///
/// The same arguments give the same histories.
/// Pre:        `options.senders` is from 1 to 200.
/// Errors:     the fault.   Throws: what the ledger and the other arguments throw.
/// Complexity: `histories` times `steps` times `senders`.
template <class Make, std::invocable Reopen, class Effects>
    requires std::invocable<Effects&, const detail::MadeBy<Make>&>
[[nodiscard]] std::optional<LedgerFault> ledger(Make make, Reopen reopen, Effects effects,
                                                const LedgerOptions& options = {}) {
    BELAY_OPTION(options.senders >= 1 && options.senders <= 200,
                 "LedgerOptions: senders must be from 1 to 200");
    Id previous = no_id;
    for (std::uint64_t history = 0; history < options.histories; ++history) {
        detail::LedgerChecker<Make, Reopen, Effects> checker{
            make, reopen, effects, {Random{Seed{history}}, options.senders, options.operation}};
        checker.differs_from(std::exchange(previous, checker.store_id()));
        for (std::uint64_t step = 0; step <= options.steps; ++step) {
            if (checker.broken()) return LedgerFault{*checker.broken(), history, step};
            if (step < options.steps) checker.step();
        }
    }
    return std::nullopt;
}

/// Tests a ledger, and does not count its effects.
template <class Make, std::invocable Reopen>
[[nodiscard]] std::optional<LedgerFault> ledger(Make make, Reopen reopen,
                                                const LedgerOptions& options = {}) {
    return ledger(std::move(make), std::move(reopen), detail::UncountedEffects{}, options);
}

/// Tests a ledger that ends with its object.
template <class Make>
[[nodiscard]] std::optional<LedgerFault> ledger(Make make, const LedgerOptions& options = {}) {
    if constexpr (std::invocable<Make&>) {
        return ledger(std::move(make), detail::NeverReopenedLedger{}, options);
    } else {
        static_assert(!sizeof(Make),
                      "check::ledger: make must be callable and return a new ledger: [] { return "
                      "Mine{}; }");
        return std::nullopt;
    }
}

}  // namespace check

}}  // namespace belay
