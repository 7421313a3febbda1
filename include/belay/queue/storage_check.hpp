// SPDX-License-Identifier: MIT
/// \file belay/queue/storage_check.hpp
/// check::storage: checks a storage. For tests of storages; belay.hpp does not include it.
#pragma once

#include <algorithm>    // std::find_if
#include <concepts>     // std::invocable
#include <cstdint>      // std::uint64_t
#include <optional>     // std::optional
#include <type_traits>  // std::remove_cvref_t
#include <utility>      // std::move
#include <vector>       // std::vector

#include <belay/core/assert.hpp>
#include <belay/core/detail/rule_check.hpp>
#include <belay/core/detail/scope_exit.hpp>
#include <belay/core/order.hpp>
#include <belay/core/random.hpp>
#include <belay/queue/queue.hpp>
#include <belay/queue/storage_like.hpp>

namespace belay { inline namespace BELAY_ABI { namespace check {

/// The rules for a storage that the compiler cannot check; see StorageLike and LeasableLike.
enum class StorageRule : std::uint8_t {
    starts_empty,
    has_capacity,
    counts_its_values,
    takes_while_there_is_space,
    rejects_when_full,
    rejection_changes_nothing,
    pops_the_oldest,
    move_keeps_everything,
    reopening_keeps_everything,
    leases_the_oldest,
    push_keeps_the_lease,
    leases_the_same_again,
    counts_what_it_leases,
    ack_removes_what_was_leased,
    pop_takes_what_was_leased,
    nack_keeps_everything,
    nack_in_unwinding_keeps_everything,
    reopening_ends_the_lease,
    confirms_nothing_when_displaced,
    continues_when_its_file_is_back,
    failure_keeps_what_is_confirmed
};

/// Returns the rule as a sentence.
[[nodiscard]] constexpr const char* to_string(StorageRule rule) noexcept {
    constexpr const char* sentences[] = {
        "a new storage is empty",
        "capacity() is above 0 and does not change",
        "size() returns the number of stored values",
        "try_push accepts a value while size() is below capacity()",
        "try_push rejects a value when size() equals capacity()",
        "a rejected try_push changes neither the value nor the storage",
        "try_pop returns each value once, the oldest first, and nothing if the storage is empty",
        "a moved storage keeps all values",
        "a storage that is closed and opened again has the stored values, and no others",
        "front() leases the oldest value, and returns nothing if the storage is empty",
        "a leased value stays valid after try_push",
        "front() returns the leased value again while the lease lasts",
        "size() counts a leased value",
        "ack() removes the leased value and no other",
        "try_pop takes the leased value and no other, and ends the lease",
        "the leased value is the first one again after nack()",
        "nack() does the same during stack unwinding as at other times",
        "a leased value is the first one again after the storage was closed and opened",
        "a storage whose path leads to another file, or to none, confirms nothing",
        "a storage whose file is at its path again continues, with all its values",
        ("a storage that is opened again after a failed call has all confirmed values, "
         "in their order and once")};
    return detail::sentence_of(rule, sentences);
}

/// The fault that check::storage found.
struct StorageFault {
    /// The rule that is violated.
    StorageRule rule{};
    /// The history that violated it; the same storage violates it in the same history again.
    /// History 0 does one thing at a time, then fills and empties the storage twice. A history of
    /// check::storage_failures has the number of the call that fails.
    std::uint64_t history = 0;
    /// The number of values that had been pushed in this history.
    std::uint64_t pushed = 0;
};

/// The options of check::storage, which decide how thoroughly it checks.
struct StorageOptions {
    /// How many random histories are played.
    std::uint64_t histories = 100;
    /// The number of pushes, pops, leases, moves and reopenings in a history.
    std::size_t steps = 300;
    /// The most values with which history 0 fills a storage.
    std::size_t fill = 1000;
};

}}}  // namespace belay::check

namespace belay { inline namespace BELAY_ABI { namespace detail {

template <class A, class B>
concept EqualAsOne = requires(const A& a, const B& b) { static_cast<bool>(a == b); };
template <class A, class B>
concept EqualByElements = requires(const A& a, const B& b) {
    a.size() != b.size();
    static_cast<bool>(a[0] == b[0]);
};

/// Returns whether two values are equal, or equal element by element.
///
/// A storage may lease another type than it takes.
template <class A, class B>
[[nodiscard]] bool same_value(const A& a, const B& b) {
    if constexpr (EqualAsOne<A, B>) {
        return static_cast<bool>(a == b);
    } else if constexpr (EqualByElements<A, B>) {
        if (a.size() != b.size()) return false;
        for (std::size_t i = 0; i < a.size(); ++i) {
            if (!(a[i] == b[i])) return false;
        }
        return true;
    } else {
        static_assert(!sizeof(A),
                      "check::storage: the result of front() must be comparable with a value by "
                      "==, or have elements that are");
    }
}

template <class Answer>
[[nodiscard]] bool is_taken(const Answer& answer) {
    return !error_of(answer, QueueErrc::queue_full);
}
template <class Call>
[[nodiscard]] bool is_done(Call call) {
    return !error_of_call(QueueErrc::queue_empty, call);
}
/// Whether a storage reports that everything is durable.
template <class Storage>
[[nodiscard]] bool confirms_all(Storage& storage) {
    bool all = true;
    if constexpr (requires { storage.commit(); }) {
        all = is_done([&] { return storage.commit(); });
    }
    if constexpr (FlushableLike<Storage>) all = !storage.flush() && all;
    return all;
}

struct NeverReopened {
    void operator()() const noexcept {}
};

struct NeverDisplaced {
    void operator()(bool /*away*/) const noexcept {}
};

/// One storage, with a model of all that a right one would hold: the values `first_` to `next_`.
template <class Make, class Value, class Reopen>
class StorageChecker : public RuleCheck<check::StorageRule> {
public:
    StorageChecker(Make& make, Value& value, Reopen& reopen)
        : value_{value}, reopen_{reopen}, storage_{make()}, capacity_{storage_->capacity()} {
        expect(storage_->size() == 0 && !storage_->try_pop(), Rule::starts_empty);
        expect(capacity_ > 0, Rule::has_capacity);
    }

    /// Does one thing at a time, so that a simple fault is reported under its name.
    void first_steps() {
        if constexpr (LeasableLike<Storage>) lease_and_nack();
        push();
        if (right() && held() < capacity_) push();
        if constexpr (LeasableLike<Storage>) {
            if (right()) lease_and_nack();
        }
        if constexpr (reopens) {
            if (right()) reopen(Rule::reopening_keeps_everything);
        }
        while (right() && held() > 0) pop();
    }

    void fill_and_empty(std::size_t most) {
        most = smaller(most, capacity_);
        for (int round = 0; round < 2 && right(); ++round) {
            while (right() && held() < most) push();
            if (right() && held() == capacity_) reject();
            // The first round leaves some values, so that the second passes any end of the memory.
            while (right() && held() > (round == 0 ? most / 2 : 0)) pop();
        }
        if (right()) pop();
    }

    void run(Random bits, std::size_t steps) {
        for (std::size_t i = 0; i < steps && right(); ++i) step(bits);
        while (right() && held() > 0) pop();
        if (right()) pop();
    }

    /// Moves the storage's file away and back. Everything confirmed before must then be there.
    template <class Displace>
    void displace(Displace& displace) {
        while (right() && held() < 2 && held() < capacity_) push();
        expect(confirms(), Rule::counts_its_values);
        displace(true);
        change_while_displaced();
        displace(false);
        expect(confirms(), Rule::continues_when_its_file_is_back);
        if (right()) unchanged(Rule::continues_when_its_file_is_back);
        if (right() && held() < capacity_) {
            push(Rule::continues_when_its_file_is_back);
            expect(confirms(), Rule::continues_when_its_file_is_back);
        }
        if (right()) reopen(Rule::continues_when_its_file_is_back);
        while (right() && held() > 0) pop();
    }

    [[nodiscard]] std::uint64_t pushed() const noexcept { return next_; }

private:
    using Storage = std::remove_cvref_t<decltype(std::declval<Make&>()())>;
    static_assert(explain::storage_like<Storage>());
    using Given = std::remove_cvref_t<std::invoke_result_t<Value&, std::uint64_t>>;
    static_assert(EqualAsOne<typename Storage::value_type, Given> ||
                      EqualByElements<typename Storage::value_type, Given>,
                  "check::storage: values must be comparable by ==, or have elements that are; "
                  "write 'friend bool operator==(const Task&, const Task&) = default'");
    static constexpr bool reopens = !std::same_as<Reopen, NeverReopened>;

    void step(Random& bits) {
        const std::uint64_t what = bits() % 16;
        const std::uint64_t chance = bits();
        if (what < 6) return held() < capacity_ ? push() : reject();
        if (what < 9) return pop();
        if (what < 10) return move();
        if constexpr (reopens) {
            if (what < 11) return reopen(Rule::reopening_keeps_everything);
        }
        if constexpr (LeasableLike<Storage>) lease(chance);
    }

    void push(Rule rule = Rule::takes_while_there_is_space) {
        typename Storage::value_type offered = value_(next_);
        if (!is_taken(storage_->try_push(std::move(offered)))) return expect(false, rule);
        ++next_;
        count(Rule::counts_its_values);
    }
    void reject() {
        typename Storage::value_type offered = value_(next_);
        expect(!is_taken(storage_->try_push(std::move(offered))), Rule::rejects_when_full);
        expect(same_value(offered, value_(next_)), Rule::rejection_changes_nothing);
        unchanged(Rule::rejection_changes_nothing);
    }
    void pop() {
        const std::optional<typename Storage::value_type> got = storage_->try_pop();
        if (held() == 0) return expect(!got, Rule::pops_the_oldest);
        expect(got && same_value(*got, value_(first_)), Rule::pops_the_oldest);
        ++first_;
        count(Rule::counts_its_values);
    }
    void move() {
        Storage moved{std::move(*storage_)};
        *storage_ = std::move(moved);
        unchanged(Rule::move_keeps_everything);
    }
    void reopen(Rule rule) {
        storage_.reset();
        storage_.emplace(reopen_());
        unchanged(rule);
    }

    /// Neither a push nor an acknowledgement may be confirmed. A storage that writes only in
    /// `commit` or `flush` may accept them.
    void change_while_displaced() {
        typename Storage::value_type offered = value_(next_);
        const bool accepts = is_taken(storage_->try_push(std::move(offered)));
        if (accepts) ++next_;
        expect(!accepts || !confirms(), Rule::confirms_nothing_when_displaced);
        if constexpr (LeasableLike<Storage>) {
            if (!storage_->front()) return;
            const bool acknowledges = is_done([&] { return storage_->ack(); });
            expect(!acknowledges || !confirms(), Rule::confirms_nothing_when_displaced);
            // An acknowledgement may take effect although it is not durable yet.
            if (storage_->size() + 1 == held()) ++first_;
        }
    }
    [[nodiscard]] bool confirms() { return confirms_all(*storage_); }

    void lease(std::uint64_t chance) {
        auto&& leased = storage_->front();
        if (held() == 0 || !leased) return first_is(leased, Rule::leases_the_oldest);
        first_is(leased, Rule::leases_the_oldest);
        count(Rule::counts_what_it_leases);
        if (right() && chance % 2 == 0 && held() < capacity_) {
            push();
            first_is(leased, Rule::push_keeps_the_lease);
        }
        if (right() && chance / 2 % 2 == 0) {
            auto&& again = storage_->front();
            first_is(again, Rule::leases_the_same_again);
        }
        if (right()) end_lease(chance / 4 % 8);
    }
    void lease_and_nack() {
        {
            auto&& leased = storage_->front();
            first_is(leased, Rule::leases_the_oldest);
            if (held() == 0 || !right()) return;
        }
        nack();
        if (right()) unchanged(Rule::nack_keeps_everything);
    }
    void nack() {
        expect(is_done([&] { return storage_->nack(); }), Rule::nack_keeps_everything);
    }
    void end_lease(std::uint64_t chance) {
        if (chance == 0) return nack_in_unwinding();
        if (chance <= 2) {
            nack();
            return unchanged(Rule::nack_keeps_everything);
        }
        if constexpr (reopens) {
            if (chance == 3) return reopen(Rule::reopening_ends_the_lease);
        }
        if (chance == 4) return pop_what_is_leased();
        ++first_;
        expect(is_done([&] { return storage_->ack(); }), Rule::ack_removes_what_was_leased);
        unchanged(Rule::ack_removes_what_was_leased);
    }
    void pop_what_is_leased() {
        const std::optional<typename Storage::value_type> got = storage_->try_pop();
        expect(got && same_value(*got, value_(first_)), Rule::pop_takes_what_was_leased);
        ++first_;
        unchanged(Rule::pop_takes_what_was_leased);
    }
    void nack_in_unwinding() {
#if defined(__cpp_exceptions)
        try {
            const ScopeExit guard{[this] { static_cast<void>(storage_->nack()); }};
            throw 0;
        } catch (int) {
        }
#else
        static_cast<void>(storage_->nack());
#endif
        unchanged(Rule::nack_in_unwinding_keeps_everything);
    }

    /// Checks that the storage holds what it should: the right number of values, and the right one
    /// first.
    void unchanged(Rule rule) {
        expect(storage_->capacity() == capacity_, Rule::has_capacity);
        count(rule);
        if constexpr (LeasableLike<Storage>) {
            auto&& leased = storage_->front();
            first_is(leased, rule);
            if (leased) nack();
        }
    }
    template <class Leased>
    void first_is(const Leased& leased, Rule rule) {
        expect(held() == 0 ? !leased : leased && same_value(*leased, value_(first_)), rule);
    }
    void count(Rule rule) { expect(storage_->size() == held(), rule); }

    [[nodiscard]] std::size_t held() const noexcept {
        return static_cast<std::size_t>(next_ - first_);
    }

    Value& value_;
    Reopen& reopen_;
    std::optional<Storage> storage_;
    std::size_t capacity_;
    std::uint64_t first_ = 0;
    std::uint64_t next_ = 0;
};

/// One storage of which a call of the medium fails. Each push offers a value of its own number.
template <class Make, class Value, class Reopen, class Fail>
class StorageFailureChecker : public RuleCheck<check::StorageRule> {
    using Storage = std::remove_cvref_t<decltype(std::declval<Make&>()())>;
    static_assert(explain::storage_like<Storage>());
    static_assert(std::convertible_to<std::invoke_result_t<Fail&, std::uint64_t>, bool>,
                  "check::storage_failures: fail(0) must return bool: whether a call has failed");

public:
    StorageFailureChecker(Make& make, Value& value, Reopen& reopen)
        : value_{value}, reopen_{reopen}, storage_{make()} {}

    /// Pushes, confirms and acknowledges while call `number` fails, and opens the storage again.
    /// Returns whether a call failed.
    [[nodiscard]] bool run(std::size_t steps, Fail& fail, std::uint64_t number) {
        static_cast<void>(fail(number));
        for (std::size_t step = 0; step < steps && !broken_; ++step) {
            if (held() < storage_->capacity()) push();
            if constexpr (LeasableLike<Storage>) {
                if (step % 4 == 3) acknowledge();
            }
            if (step % 3 == 2 && confirms_all(*storage_)) {
                confirmed_first_ = acknowledged_;
                confirmed_next_ = taken_.size();
            }
        }
        storage_.reset();
        const bool has_failed = static_cast<bool>(fail(std::uint64_t{0}));
        if (!broken_) open_again();
        return has_failed;
    }
    [[nodiscard]] std::uint64_t pushed() const noexcept { return offered_; }

private:
    void push() {
        const std::uint64_t number = offered_++;
        typename Storage::value_type offered = value_(number);
        if (is_taken(storage_->try_push(std::move(offered)))) {
            taken_.push_back(number);
        } else {
            rejected_.push_back(number);  // the medium may have the value all the same
            expect(same_value(offered, value_(number)), Rule::rejection_changes_nothing);
        }
        expect(storage_->size() == held(), Rule::counts_its_values);
    }
    void acknowledge() {
        {
            auto&& leased = storage_->front();
            if (!leased) return;  // its read failed
            expect(held() != 0 && same_value(*leased, value_(taken_[first_])),
                   Rule::leases_the_oldest);
            if (broken_) return;
        }
        const bool is_acknowledged = is_done([&] { return storage_->ack(); });
        // One that failed may have taken effect, in the medium or in the storage.
        gone_ = first_ + 1;
        if (is_acknowledged || storage_->size() + 1 == held()) ++first_;
        if (is_acknowledged) acknowledged_ = first_;
    }
    /// Values may be gone that were acknowledged, and the last ones that were not confirmed. The
    /// values of pushes that failed may be there.
    void open_again() {
        storage_.emplace(reopen_());
        std::size_t next = confirmed_first_;
        while (const std::optional<typename Storage::value_type> got = storage_->try_pop()) {
            const auto is = [&](std::uint64_t number) { return same_value(*got, value_(number)); };
            std::size_t at = next;
            while (at < gone_ && !is(taken_[at])) ++at;
            const bool was_taken = at < taken_.size() && is(taken_[at]);
            const auto rejected =
                was_taken ? rejected_.end() : std::find_if(rejected_.begin(), rejected_.end(), is);
            expect(was_taken || rejected != rejected_.end(), Rule::failure_keeps_what_is_confirmed);
            if (broken_) return;
            was_taken ? void(next = at + 1) : void(rejected_.erase(rejected));
        }
        expect(confirmed_next_ <= larger(next, gone_), Rule::failure_keeps_what_is_confirmed);
    }
    [[nodiscard]] std::size_t held() const noexcept { return taken_.size() - first_; }

    Value& value_;
    Reopen& reopen_;
    std::optional<Storage> storage_;
    std::uint64_t offered_ = 0;
    std::vector<std::uint64_t> taken_;  // the numbers of the values
    std::vector<std::uint64_t> rejected_;
    // Places in `taken_`:
    std::size_t first_ = 0;         // the first value that the storage has
    std::size_t acknowledged_ = 0;  // the end of those whose ack() succeeded
    std::size_t gone_ = 0;          // the end of those whose ack() was tried
    std::size_t confirmed_first_ = 0;
    std::size_t confirmed_next_ = 0;
};

}}}  // namespace belay::detail

namespace belay { inline namespace BELAY_ABI { namespace check {

/// Runs random histories on a storage, and returns the first fault; nothing if there is none.
///
/// A history consists of pushes, pops, leases, moves and reopenings.
///
///     const auto fault = check::storage([] { return Mine{}; }, [](auto i) { return Task{i}; });
///     if (fault) std::puts(to_string(fault->rule));
///
/// - `make()` returns a new, empty storage;
/// - `value(i)` returns the value number `i`: always the same, and another for each `i`. Values are
///   compared by `==`, or element by element;
/// - `reopen()`, for a storage that outlives its object: returns the storage that `make` returned
///   last again, after it was destroyed.
///
/// - `displace(away)`, for a storage in a file: with `true`, moves away the file of the storage
///   that `make` returned last, which is open, or puts another file in its place. With `false`, it
///   puts that file back. This comes in a history of its own, the last one.
///
/// The same arguments give the same histories. Leases are checked if the storage has them.
/// Errors:     the fault.   Throws: what the storage and the other arguments throw.
/// Complexity: `histories` times `steps`.
/// Source:     a model next to the implementation, as in QuickCheck (K. Claessen, J. Hughes, 2000).
template <class Make, class Value, std::invocable Reopen, std::invocable<bool> Displace>
[[nodiscard]] std::optional<StorageFault> storage(Make make, Value value, Reopen reopen,
                                                  Displace displace, StorageOptions options = {}) {
    for (std::uint64_t history = 0; history <= options.histories; ++history) {
        detail::StorageChecker<Make, Value, Reopen> checker{make, value, reopen};
        if (history == 0) {
            checker.first_steps();
            checker.fill_and_empty(options.fill);
        } else {
            checker.run(Random{Seed{history}}, options.steps);
        }
        if (checker.broken()) return StorageFault{*checker.broken(), history, checker.pushed()};
    }
    if constexpr (!std::same_as<Displace, detail::NeverDisplaced>) {
        detail::StorageChecker<Make, Value, Reopen> checker{make, value, reopen};
        checker.displace(displace);
        if (checker.broken()) {
            return StorageFault{*checker.broken(), options.histories + 1, checker.pushed()};
        }
    }
    return std::nullopt;
}

/// Lets each call that a storage makes to its medium fail in turn, and returns the first fault;
/// nothing if there is none.
///
/// - `make`, `value` and `reopen` are those of check::storage.
/// - `fail(n)` lets the `n`-th call from now on fail, in the way that it tests, such as
///   sim::Disk::fail_after. `fail(0)` ends that, and returns whether a call has failed.
///
/// A storage need not go on after a failure. The values that it has confirmed, by `commit` and
/// `flush` if it has them, must be there when it is opened again. The value of a push that failed
/// may be there, too. The value of an `ack` that failed may be there or not.
///
/// Each history has `steps` pushes. `histories` and `fill` do not count.
/// Pre:        `fail(1)` lets a call fail; otherwise nothing would be tested.
/// Errors:     the fault.   Throws: what the storage and the other arguments throw.
/// Complexity: the number of calls in a history, times `steps`.
template <class Make, class Value, std::invocable Reopen, std::invocable<std::uint64_t> Fail>
[[nodiscard]] std::optional<StorageFault> storage_failures(Make make, Value value, Reopen reopen,
                                                           Fail fail, StorageOptions options = {}) {
    bool has_failed = true;
    for (std::uint64_t number = 1; has_failed; ++number) {
        detail::StorageFailureChecker<Make, Value, Reopen, Fail> checker{make, value, reopen};
        has_failed = checker.run(options.steps, fail, number);
        BELAY_PRECONDITION(has_failed || number > 1,
                           "check::storage_failures: fail(1) must let the next call fail, and "
                           "fail(0) must then return true");
        if (checker.broken()) return StorageFault{*checker.broken(), number, checker.pushed()};
    }
    return std::nullopt;
}

/// Checks a storage in the same way as `storage`, without moving its file.
template <class Make, class Value, std::invocable Reopen>
[[nodiscard]] std::optional<StorageFault> storage(Make make, Value value, Reopen reopen,
                                                  StorageOptions options = {}) {
    return storage(std::move(make), std::move(value), std::move(reopen), detail::NeverDisplaced{},
                   options);
}

/// Checks a storage that ends with its object, in the same way.
template <class Make, class Value>
[[nodiscard]] std::optional<StorageFault> storage(Make make, Value value,
                                                  StorageOptions options = {}) {
    return storage(std::move(make), std::move(value), detail::NeverReopened{}, options);
}

}}}  // namespace belay::check
