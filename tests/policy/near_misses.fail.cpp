// SPDX-License-Identifier: MIT
// Goal: misuse of this component does not compile, and the error states the reason. Method: each
// case, from one expect-error to the next, has an error of that text; with BELAY_CONTROL all of
// them compile.
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <ratio>
#include <system_error>

#include <belay/breaker/circuit_breaker.hpp>
#include <belay/budget/budgets.hpp>
#include <belay/policy/policy.hpp>
#include <belay/policy/rules.hpp>
#include <belay/policy/shared.hpp>

#include "support/archetypes.hpp"

// expect-error: share as Shared{object}
namespace policy_of_shared_object {
/// A rule that cannot be copied, so it must be shared.
struct Common {
    Common() = default;
    Common(const Common&) = delete;
    Common& operator=(const Common&) = delete;
    static belay::Advice failed(const belay::Failure&, belay::Turn&) noexcept { return {}; }
};

void use() {
#if defined(BELAY_CONTROL)
    belay::Policy<belay::MaxAttempts> policy{belay::MaxAttempts{3}};
#else
    belay::Policy<Common> policy{};
#endif
    static_cast<void>(policy);
}
}  // namespace policy_of_shared_object

// expect-error: belay: a count is a number without a unit of time
namespace attempts_with_a_unit {
#if defined(BELAY_CONTROL)
belay::MaxAttempts rule{3};
#else
belay::MaxAttempts rule{std::chrono::seconds{3}};
#endif
}  // namespace attempts_with_a_unit

// expect-error: belay: a count must be an integer
namespace attempts_of_a_fraction {
#if defined(BELAY_CONTROL)
belay::MaxAttempts rule{2};
#else
belay::MaxAttempts rule{2.5};
#endif
}  // namespace attempts_of_a_fraction

// expect-error: Deadline: pass an Instant
namespace deadline_of_a_duration {
#if defined(BELAY_CONTROL)
belay::Deadline rule{belay::never};
#else
belay::Deadline rule{std::chrono::seconds{5}};
#endif
}  // namespace deadline_of_a_duration

// expect-error: Deadline: pass an Instant
namespace deadline_of_another_clock {
#if defined(BELAY_CONTROL)
belay::Deadline rule{belay::never};
#else
belay::Deadline rule{std::chrono::system_clock::now()};
#endif
}  // namespace deadline_of_another_clock

// expect-error: Shared: AskAgain is for budgets
namespace breaker_with_ask_again {
void use(belay::CircuitBreaker<>& object) {
#if defined(BELAY_CONTROL)
    belay::Shared rule{object};
#else
    belay::Shared rule{object, belay::AskAgain{std::chrono::seconds{5}}};
#endif
    static_cast<void>(rule);
}
}  // namespace breaker_with_ask_again

// expect-error: a std::optional needs policy/any_policy.hpp
namespace optional_rule_without_its_header {
#if defined(BELAY_CONTROL)
belay::Policy policy{belay::MaxAttempts{3}};
#else
belay::Policy policy{std::optional<belay::MaxAttempts>{}};
#endif
}  // namespace optional_rule_without_its_header

// expect-error: RuleLike: failed must be 'Advice failed
namespace rule_hook_misspelt {
struct Rule {
    void succeeded(belay::Turn&) noexcept {}
#if defined(BELAY_CONTROL)
    belay::Advice failed(const belay::Failure&, belay::Turn&) noexcept { return {}; }
#else
    belay::Advice failed(const belay::Failure&) noexcept { return {}; }
#endif
};

belay::Policy policy{Rule{}};
}  // namespace rule_hook_misspelt

// expect-error: RuleLike: R must not set 'listens' to true, because one of its hooks affects the policy
namespace rule_listens_and_says {
struct Counts {
#if !defined(BELAY_CONTROL)
    static constexpr bool listens = true;
#endif
    belay::Advice failed(const belay::Failure&, belay::Turn&) noexcept {
        return belay::Advice::stop();
    }
};

belay::Policy policy{Counts{}};
}  // namespace rule_listens_and_says

// expect-error: RuleLike: name must be 'static constexpr std::string_view name'
namespace rule_name {
struct Gives {
#if defined(BELAY_CONTROL)
    static constexpr std::string_view name = "Gives";
#else
    static std::string_view name() { return "Gives"; }
#endif
    belay::Advice failed(const belay::Failure&, belay::Turn&) noexcept {
        return belay::Advice::stop();
    }
};

belay::Policy policy{Gives{}};
}  // namespace rule_name

// expect-error: RuleLike: succeeded must be .void succeeded.Turn&. noexcept., and public
namespace rule_private_hook {
// Without `public:` it would never be called, and all failures would stay counted.
class Strict {
#if defined(BELAY_CONTROL)
public:
#endif
    void succeeded(belay::Turn&) noexcept { failures_ = 0; }

public:
    belay::Advice failed(const belay::Failure&, belay::Turn&) noexcept {
        return ++failures_ < 3 ? belay::Advice::go() : belay::Advice::stop();
    }

private:
    int failures_ = 0;
};

belay::Policy policy{Strict{}};
}  // namespace rule_private_hook

// expect-error: RuleLike: rejects_until must be 'Instant rejects_until.Instant. const noexcept', and public
namespace rule_rejects_until {
// Without `const` it would never be called.
struct Wrapper {
    belay::Advice admit(belay::Instant) const noexcept { return {}; }
#if defined(BELAY_CONTROL)
    belay::Instant rejects_until(belay::Instant) const noexcept { return belay::always; }
#else
    belay::Instant rejects_until(belay::Instant) noexcept { return belay::always; }
#endif
};

belay::Policy policy{Wrapper{}};
}  // namespace rule_rejects_until

// expect-error: RuleLike: spend must be 'void spend.Turn&. noexcept'
namespace rule_spend {
struct Wrapper {
    belay::Advice admit(belay::Instant) const noexcept { return {}; }
#if defined(BELAY_CONTROL)
    void spend(belay::Turn&) noexcept {}
#else
    void spend(belay::Turn&) {}
#endif
};

belay::Policy policy{Wrapper{}};
}  // namespace rule_spend

// expect-error: RuleLike: rejected must be 'void rejected.Turn&. noexcept'
namespace rule_rejected {
struct Wrapper {
    belay::Advice admit(belay::Instant) const noexcept { return {}; }
#if defined(BELAY_CONTROL)
    void rejected(belay::Turn&) noexcept {}
#else
    void rejected(belay::Turn&) {}
#endif
};

belay::Policy policy{Wrapper{}};
}  // namespace rule_rejected

// expect-error: RuleLike: longest_wait must return a Duration, and be const and noexcept
namespace rule_longest_wait {
struct Rule {
    belay::Advice admit(belay::Instant) const noexcept { return {}; }
#if defined(BELAY_CONTROL)
    belay::Duration longest_wait(std::uint64_t) const noexcept { return {}; }
#else
    belay::Duration longest_wait(std::uint64_t) const { return {}; }
#endif
};

belay::Policy policy{Rule{}};
}  // namespace rule_longest_wait

// expect-error: RuleLike: wanted must be 'void wanted.Turn&. noexcept'
namespace rule_wanted {
// The returned Advice would have no effect.
struct Rule {
    belay::Advice failed(const belay::Failure&, belay::Turn&) noexcept { return {}; }
#if defined(BELAY_CONTROL)
    void wanted(belay::Turn&) noexcept {}
#else
    belay::Advice wanted(belay::Turn&) noexcept { return belay::Advice::stop(); }
#endif
};

belay::Policy policy{Rule{}};
}  // namespace rule_wanted

// expect-error: RuleLike: R needs at least one hook
namespace rule_without_hook {
struct Rule {
#if defined(BELAY_CONTROL)
    belay::Advice admit(belay::Instant) const noexcept { return belay::Advice::go(); }
#endif
};

belay::Policy policy{belay::MaxAttempts{3}, Rule{}};
}  // namespace rule_without_hook

// expect-error: RuleLike: R has no hook that affects the policy
namespace rule_without_say {
// `fail` would never be called, and the rule would do nothing.
struct Counts {
#if defined(BELAY_CONTROL)
    static constexpr bool listens = true;
#endif
    int* successes;
    belay::Advice fail(const belay::Failure&, belay::Turn&) noexcept {
        return belay::Advice::stop();
    }
    void succeeded(belay::Turn&) noexcept { ++*successes; }
};

int successes = 0;
belay::Policy policy{Counts{&successes}};
}  // namespace rule_without_say

// expect-error: Shared: the shared object must be a variable that outlives it
namespace shared_temporary {
belay::TokenBudget budget;
#if defined(BELAY_CONTROL)
belay::Shared rule{budget};
#else
belay::Shared rule{belay::TokenBudget{}};
#endif
}  // namespace shared_temporary

// expect-error: Shared: the shared object must be a variable that outlives it
namespace shared_temporary_asked_again {
belay::RatioBudget budget;
#if defined(BELAY_CONTROL)
belay::Shared rule{budget, belay::AskAgain{belay::Duration{1}}};
#else
belay::Shared rule{belay::RatioBudget{}, belay::AskAgain{belay::Duration{1}}};
#endif
}  // namespace shared_temporary_asked_again

// expect-error: ShareableLike: reserve must be
namespace shareable_hook_private {
struct Permit {
    belay::Advice advice() const noexcept { return belay::Advice::go(); }
    belay::Advice failure(belay::Turn&) noexcept { return belay::Advice::go(); }
    void success(belay::Turn&) noexcept {}
    void neutral() noexcept {}
};
// Every retry would be free.
class Budget {
#if defined(BELAY_CONTROL)
public:
#endif
    shareable_hook_private::Permit reserve(belay::Cause, belay::Turn&) noexcept { return {}; }

public:
    using Permit = shareable_hook_private::Permit;
    belay::Advice admit(belay::Instant) const noexcept { return belay::Advice::go(); }
    Permit acquire(belay::Turn&) noexcept { return {}; }
} budget;
belay::Shared rule{budget};
}  // namespace shareable_hook_private

// expect-error: ShareableLike: gains_by_time must be
namespace shareable_gains_is_data {
struct Permit {
    belay::Advice advice() const noexcept { return belay::Advice::go(); }
    belay::Advice failure(belay::Turn&) noexcept { return belay::Advice::go(); }
    void success(belay::Turn&) noexcept {}
    void neutral() noexcept {}
};
// AskAgain would make attempts that the budget has not granted.
struct Budget {
    using Permit = shareable_gains_is_data::Permit;
    belay::Advice admit(belay::Instant) const noexcept { return belay::Advice::go(); }
    Permit acquire(belay::Turn&) noexcept { return {}; }
    Permit reserve(belay::Cause, belay::Turn&) noexcept { return {}; }
#if defined(BELAY_CONTROL)
    bool gains_by_time() const noexcept { return true; }
#else
    bool gains_by_time = true;
#endif
} budget;
belay::Shared rule{budget, belay::AskAgain{belay::Duration{1}}};
}  // namespace shareable_gains_is_data

// expect-error: RuleLike: succeeded must be .void succeeded.Turn&. noexcept.
namespace rule_answers_a_success {
// The returned Advice would have no effect: one success, and no more attempts.
struct Once {
    belay::Advice failed(const belay::Failure&, belay::Turn&) noexcept { return {}; }
#if defined(BELAY_CONTROL)
    void succeeded(belay::Turn&) noexcept {}
#else
    belay::Advice succeeded(belay::Turn&) noexcept { return belay::Advice::stop(); }
#endif
};

belay::Policy policy{Once{}};
}  // namespace rule_answers_a_success

// expect-error: RuleLike: abandoned must be .void abandoned.Turn&. noexcept.
namespace rule_answers_the_abandoned {
struct Rule {
    belay::Advice failed(const belay::Failure&, belay::Turn&) noexcept { return {}; }
#if defined(BELAY_CONTROL)
    void abandoned(belay::Turn&) noexcept {}
#else
    belay::Advice abandoned(belay::Turn&) noexcept { return belay::Advice::stop(); }
#endif
};

belay::Policy policy{Rule{}};
}  // namespace rule_answers_the_abandoned

// expect-error: ShareableLike: S::Permit needs advice, failure, success and neutral
namespace shareable_permit_answers_a_success {
struct Permit {
    belay::Advice advice() const noexcept { return belay::Advice::go(); }
    belay::Advice failure(belay::Turn&) noexcept { return belay::Advice::go(); }
#if defined(BELAY_CONTROL)
    void success(belay::Turn&) noexcept {}
#else
    belay::Advice success(belay::Turn&) noexcept { return belay::Advice::stop(); }
#endif
    void neutral() noexcept {}
};
struct Object {
    using Permit = shareable_permit_answers_a_success::Permit;
    belay::Advice admit(belay::Instant) const noexcept { return belay::Advice::go(); }
    Permit acquire(belay::Turn&) noexcept { return {}; }
} object;
belay::Shared rule{object};
}  // namespace shareable_permit_answers_a_success

// expect-error: ShareableLike: S::Permit::spend must be .void spend.Turn&. noexcept.
namespace shareable_permit_that_may_throw {
struct Permit {
    belay::Advice advice() const noexcept { return belay::Advice::go(); }
    belay::Advice failure(belay::Turn&) noexcept { return belay::Advice::go(); }
    void success(belay::Turn&) noexcept {}
    void neutral() noexcept {}
#if defined(BELAY_CONTROL)
    void spend(belay::Turn&) noexcept {}
#else
    void spend(belay::Turn&) {}
#endif
};
struct Object {
    using Permit = shareable_permit_that_may_throw::Permit;
    belay::Advice admit(belay::Instant) const noexcept { return belay::Advice::go(); }
    Permit acquire(belay::Turn&) noexcept { return {}; }
} object;
belay::Shared rule{object};
}  // namespace shareable_permit_that_may_throw

// expect-error: belay: write the unit of a length of time: 30s
namespace max_elapsed_without_a_unit {
#if defined(BELAY_CONTROL)
belay::MaxElapsed rule{std::chrono::seconds{30}};
#else
belay::MaxElapsed rule{30};
#endif
}  // namespace max_elapsed_without_a_unit

// expect-error: belay: a length of time of whole ticks must be a whole number of nanoseconds
namespace attempt_timeout_of_thirds {
using Thirds = std::chrono::duration<long, std::ratio<1, 3>>;
#if defined(BELAY_CONTROL)
belay::AttemptTimeout rule{std::chrono::duration_cast<belay::Duration>(Thirds{1})};
#else
belay::AttemptTimeout rule{Thirds{1}};
#endif
}  // namespace attempt_timeout_of_thirds

// expect-error: StopOn: pass causes: StopOn.Cause::permanent, Cause::forbidden.
namespace stop_on_a_status {
#if defined(BELAY_CONTROL)
belay::StopOn rule{belay::Cause::permanent};
#else
belay::StopOn rule{404};
#endif
}  // namespace stop_on_a_status

// expect-error: StopOn: pass causes: StopOn.Cause::permanent, Cause::forbidden.
namespace stop_on_a_code {
#if defined(BELAY_CONTROL)
belay::StopOn rule{belay::Cause::lost, belay::Cause::timed_out};
#else
belay::StopOn rule{belay::Cause::lost, std::errc::timed_out};
#endif
}  // namespace stop_on_a_code

// expect-error: StopOn: pass causes: StopOn.Cause::permanent, Cause::forbidden.
namespace stop_on_all_but_a_status {
#if defined(BELAY_CONTROL)
const auto rule = belay::StopOn::all_but(belay::Cause::overloaded);
#else
const auto rule = belay::StopOn::all_but(503L);
#endif
}  // namespace stop_on_all_but_a_status

// expect-error: Shared: pass the object itself, and not a pointer
namespace shared_of_a_pointer {
const auto breaker = std::make_shared<belay::CircuitBreaker<>>(
    belay::ConsecutiveFailures{5}, belay::OpenFor{std::chrono::seconds{30}});
#if defined(BELAY_CONTROL)
belay::Shared rule{*breaker};
#else
belay::Shared rule{breaker};
#endif
}  // namespace shared_of_a_pointer

// expect-error: Shared: pass the object itself, and not a pointer
namespace shared_of_an_address {
belay::CircuitBreaker breaker{belay::ConsecutiveFailures{5},
                              belay::OpenFor{std::chrono::seconds{30}}};
#if defined(BELAY_CONTROL)
belay::Shared rule{breaker, belay::FailFast{}};
#else
belay::Shared rule{&breaker, belay::FailFast{}};
#endif
}  // namespace shared_of_an_address

// expect-error: Shared: pass the object itself, and not a pointer
namespace shared_of_a_reference_wrapper {
belay::TokenBudget budget;
#if defined(BELAY_CONTROL)
belay::Shared rule{budget};
#else
belay::Shared rule{std::ref(budget)};
#endif
}  // namespace shared_of_a_reference_wrapper

// expect-error: Shared: the shared object must not be const
namespace shared_of_a_constant {
#if defined(BELAY_CONTROL)
belay::TokenBudget budget;
#else
const belay::TokenBudget budget;
#endif
belay::Shared rule{budget};
}  // namespace shared_of_a_constant

// expect-error: Shared: write Shared.object, AskAgain.5s..
namespace shared_with_a_time {
belay::TokenBudget budget;
#if defined(BELAY_CONTROL)
belay::Shared rule{budget, belay::AskAgain{std::chrono::seconds{5}}};
#else
belay::Shared rule{budget, std::chrono::seconds{5}};
#endif
}  // namespace shared_with_a_time

// expect-error: RuleLike: R must be a class; write MaxAttempts.3. for a number of attempts
namespace policy_of_a_number {
#if defined(BELAY_CONTROL)
belay::Policy policy{belay::MaxAttempts{3}};
#else
belay::Policy policy{3};
#endif
}  // namespace policy_of_a_number

// expect-error: SpreadHint: write SpreadHint::plus_percent.20.
namespace spread_hint_of_a_number {
#if defined(BELAY_CONTROL)
const auto rule = belay::SpreadHint::plus_percent(20);
#else
const belay::SpreadHint rule{20};
#endif
}  // namespace spread_hint_of_a_number
