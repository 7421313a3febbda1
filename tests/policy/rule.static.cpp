// SPDX-License-Identifier: MIT
// Goal: RuleLike accepts every rule with one valid hook, and rejects a hook that would never be
// called.
#include <belay/policy/rule.hpp>

#include <belay/budget/budgets.hpp>
#include <belay/policy/policy.hpp>
#include <belay/policy/rules.hpp>
#include <belay/policy/shared.hpp>

#include "support/archetypes.hpp"

using namespace belay;

namespace {

template <int hook>
struct Only;
template <>
struct Only<0> {
    Advice admit(Instant) const noexcept;
};
template <>
struct Only<1> {
    void begin(Turn&) noexcept;
};
template <>
struct Only<2> {
    Advice begin(Turn&) noexcept;
};
template <>
struct Only<3> {
    Advice failed(const Failure&, Turn&) noexcept;
};
template <>
struct Only<4> {
    Advice lost(const Failure&, Turn&) noexcept;
};
template <>
struct Only<5> {
    void succeeded(Turn&) noexcept;
};
template <>
struct Only<6> {
    void abandoned(Turn&) noexcept;
};
template <>
struct Only<7> {
    Duration stable_window() const noexcept;
};
template <>
struct Only<8> {
    Duration attempt_limit() const noexcept;
};
template <>
struct Only<9> {
    Advice review(const Advice&, Turn&) noexcept;
};
static_assert(RuleLike<Only<0>> && RuleLike<Only<2>> && RuleLike<Only<3>> && RuleLike<Only<4>>);
static_assert(RuleLike<Only<7>> && RuleLike<Only<8>> && RuleLike<Only<9>>);

// A rule without a hook that affects the policy must declare `listens`.
template <int hook>
struct RuleListener : Only<hook> {
    static constexpr bool listens = true;
};
static_assert(!RuleLike<Only<1>> && !RuleLike<Only<5>> && !RuleLike<Only<6>>);
static_assert(RuleLike<RuleListener<1>> && RuleLike<RuleListener<5>> && RuleLike<RuleListener<6>>);
struct ListensNot : Only<5> {
    static constexpr bool listens = false;
};
static_assert(!RuleLike<ListensNot>);
static_assert(RuleLike<belay_test::MinimalRule> && explain::rule_like<belay_test::MinimalRule>());

struct WithTemplateHook : RuleListener<1> {
    template <class T>
    void succeeded(T&) noexcept;
};
static_assert(RuleLike<WithTemplateHook>);

struct WithoutHook {};
static_assert(!RuleLike<WithoutHook>);
struct WithResetOnly {
    void reset() noexcept;
};
static_assert(!RuleLike<WithResetOnly>, "a rule that only resets has nothing to say");
template <>
struct Only<10> {};
static_assert(!RuleLike<RuleListener<10>>);
template <>
struct Only<11> {
    void wanted(Turn&) noexcept;
};
static_assert(!RuleLike<Only<11>> && RuleLike<RuleListener<11>>);
struct MoveOnly : Only<3> {
    MoveOnly(MoveOnly&&) = default;
    MoveOnly& operator=(MoveOnly&&) = default;
};
static_assert(!RuleLike<MoveOnly>);

// One valid hook does not excuse an invalid one.
struct AdmitNotConst : Only<3> {
    Advice admit(Instant) noexcept;
};
struct AdmitReturnsBool : Only<3> {
    bool admit(Instant) const noexcept;
};
struct BeginReturnsBool : Only<3> {
    bool begin(Turn&) noexcept;
};
struct BeginThrows : Only<3> {
    void begin(Turn&);
};
struct FailedThrows : Only<0> {
    Advice failed(const Failure&, Turn&);
};
struct FailedWithoutTurn : Only<0> {
    Advice failed(const Failure&) noexcept;
};
struct FailedReturnsNothing : Only<0> {
    void failed(const Failure&, Turn&) noexcept;
};
struct LostThrows : Only<0> {
    Advice lost(const Failure&, Turn&);
};
struct ReviewThrows : Only<0> {
    Advice review(const Advice&, Turn&);
};
struct ReviewWithoutPlan : Only<0> {
    Advice review(Turn&) noexcept;
};
struct SucceededThrows : Only<0> {
    void succeeded(Turn&);
};
struct SucceededWithoutTurn : Only<0> {
    void succeeded() noexcept;
};
struct AbandonedThrows : Only<0> {
    void abandoned(Turn&);
};
struct ResetThrows : Only<0> {
    void reset();
};
struct WindowInSeconds : Only<0> {
    std::chrono::seconds stable_window() const noexcept;
};
struct NameIsFunction : Only<0> {
    static std::string_view name();
};
struct NameIsNumber : Only<0> {
    static constexpr int name = 7;
};
struct NameIsText : Only<0> {
    static constexpr char name[] = "text";
};
static_assert(!RuleLike<NameIsFunction> && !RuleLike<NameIsNumber> && RuleLike<NameIsText>);
struct WantedThrows : Only<0> {
    void wanted(Turn&);
};
struct WantedAdvises : Only<0> {
    Advice wanted(Turn&) noexcept;
};
struct WantedWithoutTurn : Only<0> {
    void wanted() noexcept;
};
struct WantedByInstant : Only<0> {
    void wanted(Instant) noexcept;
};
static_assert(!RuleLike<WantedThrows> && !RuleLike<WantedAdvises>);
static_assert(!RuleLike<WantedWithoutTurn> && !RuleLike<WantedByInstant>);
struct StopsAfterReturnsAdvice : Only<0> {
    Advice stops_after(Instant) const noexcept;
};
static_assert(!RuleLike<StopsAfterReturnsAdvice>);
struct LimitNotConst : Only<0> {
    Duration attempt_limit() noexcept;
};
static_assert(!RuleLike<AdmitNotConst> && !RuleLike<AdmitReturnsBool>);
static_assert(!RuleLike<BeginReturnsBool> && !RuleLike<BeginThrows>);
static_assert(!RuleLike<FailedThrows> && !RuleLike<FailedWithoutTurn>);
static_assert(!RuleLike<FailedReturnsNothing> && !RuleLike<LostThrows>);
static_assert(!RuleLike<ReviewThrows> && !RuleLike<ReviewWithoutPlan>);
static_assert(!RuleLike<SucceededThrows> && !RuleLike<SucceededWithoutTurn>);
static_assert(!RuleLike<AbandonedThrows> && !RuleLike<ResetThrows>);
static_assert(!RuleLike<WindowInSeconds> && !RuleLike<LimitNotConst>);
struct RejectsUntil : Only<0> {
    Instant rejects_until(Instant) const noexcept;
    void spend(Turn&) noexcept;
};
struct RejectsNotConst : Only<0> {
    Instant rejects_until(Instant) noexcept;
};
struct RejectsThrows : Only<0> {
    Instant rejects_until(Instant) const;
};
struct RejectsForDuration : Only<0> {
    Duration rejects_until(Instant) const noexcept;
};
struct RejectsWithoutTime : Only<0> {
    Instant rejects_until() const noexcept;
};
class RejectsPrivately : public Only<0> {
    Instant rejects_until(Instant) const noexcept;
};
static_assert(RuleLike<RejectsUntil> && !RuleLike<RejectsNotConst> && !RuleLike<RejectsThrows>);
static_assert(!RuleLike<RejectsForDuration> && !RuleLike<RejectsWithoutTime>);
static_assert(!RuleLike<RejectsPrivately>);
struct SpendThrows : Only<0> {
    void spend(Turn&);
};
struct SpendAdvises : Only<0> {
    Advice spend(Turn&) noexcept;
};
static_assert(!RuleLike<SpendThrows> && !RuleLike<SpendAdvises>);
struct RejectedThrows : Only<0> {
    void rejected(Turn&);
};
struct RejectedAdvises : Only<0> {
    Advice rejected(Turn&) noexcept;
};
struct CountsRejected : Only<0> {
    int rejected() const;
};
static_assert(!RuleLike<RejectedThrows> && !RuleLike<RejectedAdvises> && RuleLike<CountsRejected>);
struct LongestWaitThrows : Only<0> {
    Duration longest_wait(std::uint64_t) const;
};
struct LongestWaitNotConst : Only<0> {
    Duration longest_wait(std::uint64_t) noexcept;
};
struct LongestWaitInSeconds : Only<0> {
    std::chrono::seconds longest_wait(std::uint64_t) const noexcept;
};
static_assert(!RuleLike<LongestWaitThrows> && !RuleLike<LongestWaitNotConst>);
static_assert(!RuleLike<LongestWaitInSeconds>);

// A name counts in any declaration: a private hook, an overloaded one and a template that does not
// fit would never be called either.
template <class Said, int hook = 0>
struct PrivateHook : Only<hook> {
private:
    Said admit(Instant) const noexcept;
    Said begin(Turn&) noexcept;
};
class PrivateFailed : public Only<0> {
    Advice failed(const Failure&, Turn&) noexcept;
};
class PrivateLost : public Only<0> {
    Advice lost(const Failure&, Turn&) noexcept;
};
class PrivateReview : public Only<0> {
    Advice review(const Advice&, Turn&) noexcept;
};
class PrivateSucceeded : public Only<0> {
    void succeeded(Turn&) noexcept;
};
class PrivateAbandoned : public Only<0> {
    void abandoned(Turn&) noexcept;
};
class PrivateReset : public Only<0> {
    void reset() noexcept;
};
class PrivateWindow : public Only<0> {
    Duration stable_window() const noexcept;
};
class PrivateLimit : public Only<0> {
    Duration attempt_limit() const noexcept;
};
class PrivateWanted : public Only<0> {
    void wanted(Turn&) noexcept;
};
static_assert(!RuleLike<PrivateWanted>);
class PrivateShared : public Only<0> {
    static constexpr bool is_shared = true;
};
static_assert(!RuleLike<PrivateHook<Advice, 3>> && !RuleLike<PrivateFailed>);
static_assert(!RuleLike<PrivateLost> && !RuleLike<PrivateReview>);
static_assert(!RuleLike<PrivateSucceeded> && !RuleLike<PrivateAbandoned>);
static_assert(!RuleLike<PrivateReset> && !RuleLike<PrivateWindow> && !RuleLike<PrivateLimit>);
static_assert(!RuleLike<PrivateShared>);
struct OverloadedFailed : Only<0> {
    Advice failed(int, Turn&) noexcept;
    Advice failed(const char*, Turn&) noexcept;
};
struct OverloadedWindow : Only<0> {
    Duration stable_window(int) const noexcept;
    Duration stable_window(char) const noexcept;
};
struct TemplateSucceeded : Only<0> {
    template <class T>
    void succeeded(T&, int) noexcept;
};
struct TemplateBegin : Only<0> {
    template <class T>
    Advice begin() noexcept;
};
static_assert(!RuleLike<OverloadedFailed> && !RuleLike<OverloadedWindow>);
static_assert(!RuleLike<TemplateSucceeded> && !RuleLike<TemplateBegin>);
// One overload that fits is enough. A final class is checked as far as possible.
struct OneFits : OverloadedFailed {
    using OverloadedFailed::failed;
    Advice failed(const Failure&, Turn&) noexcept;
};
struct FinalRule final : Only<0> {};
struct FinalThrows final : Only<0> {
    void succeeded(Turn&);
};
static_assert(RuleLike<OneFits> && RuleLike<FinalRule> && !RuleLike<FinalThrows>);
// The limits of a rule are also requested with a default as an argument.
struct WishThrows : Only<0> {
    Duration stable_window(Duration otherwise = {}) const;
};
struct WishOfAnother : Only<0> {
    Duration attempt_limit() const noexcept;
    std::chrono::seconds attempt_limit(Duration) const noexcept;
};
static_assert(!RuleLike<WishThrows> && !RuleLike<WishOfAnother>);

// `listens` is a static member, and only for rules whose hooks do not affect the policy.
struct ListensEach : Only<5> {
    bool listens = true;
};
struct ListensAsNumber : Only<5> {
    static constexpr int listens = 1;
};
struct ListensAsFunction : Only<5> {
    static constexpr bool listens() { return true; }
};
class ListensPrivately : public Only<5> {
    static constexpr bool listens = true;
};
struct ListensEachWithSay : Only<3> {
    bool listens = true;
};
static_assert(!RuleLike<ListensEach> && !RuleLike<ListensAsNumber>);
static_assert(!RuleLike<ListensAsFunction> && !RuleLike<ListensPrivately>);
static_assert(!RuleLike<ListensEachWithSay>);
static_assert(!RuleLike<RuleListener<0>> && !RuleLike<RuleListener<2>>);
static_assert(!RuleLike<RuleListener<3>> && !RuleLike<RuleListener<7>>);
struct SharedEach : Only<0> {
    bool is_shared = true;
};
struct NameOfEach : Only<0> {
    std::string_view name = "each";
};
static_assert(!RuleLike<SharedEach> && !RuleLike<NameOfEach>);

// Each concept is one expression, so that constraints can be compared: of two overloads, one is
// more constrained, and so are the guides of a class.
template <RuleLike R>
constexpr int chosen(const R&) {
    return 1;
}
template <RuleLike R>
    requires(sizeof(R) > 1)
constexpr int chosen(const R&) {
    return 2;
}
template <RuleLike R, class Other = int>
struct Runner {
    constexpr explicit Runner(const R&) {}
    constexpr Runner(const R&, const Other&) {}
};
template <RuleLike R>
Runner(R) -> Runner<R>;
template <RuleLike R, class Other>
Runner(R, Other) -> Runner<R, Other>;
struct LargeRule {
    int more = 0;
    Advice admit(Instant) const noexcept;
};
static_assert(std::same_as<decltype(Runner{LargeRule{}, 7L}), Runner<LargeRule, long>>);
static_assert(chosen(LargeRule{}) == 2);

// A class derived from a policy or a Shared declares the other hooks in their form.
struct PolicyWithHookInOtherForm : Policy<MaxAttempts> {
    Advice failed(const Failure&) noexcept;
};
struct SharedWithHookInOtherForm : Shared<TokenBudget> {
    void succeeded() noexcept;
};
static_assert(RuleLike<Policy<MaxAttempts>> && RuleLike<Shared<TokenBudget>>);
static_assert(!RuleLike<PolicyWithHookInOtherForm> && !RuleLike<SharedWithHookInOtherForm>);

}  // namespace
