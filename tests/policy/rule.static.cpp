// SPDX-License-Identifier: MIT
// Goal: RuleLike takes every rule with one sound hook, and refuses a hook that would never be
// called.
#include <belay/policy/rule.hpp>

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

// Those that have no say must mean it.
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

// One sound hook does not excuse an unsound one.
struct AdmitNotConst : Only<3> {
    Advice admit(Instant) noexcept;
};
struct AdmitSaysBool : Only<3> {
    bool admit(Instant) const noexcept;
};
struct BeginSaysBool : Only<3> {
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
struct FailedSaysNothing : Only<0> {
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
struct LimitNotConst : Only<0> {
    Duration attempt_limit() noexcept;
};
static_assert(!RuleLike<AdmitNotConst> && !RuleLike<AdmitSaysBool>);
static_assert(!RuleLike<BeginSaysBool> && !RuleLike<BeginThrows>);
static_assert(!RuleLike<FailedThrows> && !RuleLike<FailedWithoutTurn>);
static_assert(!RuleLike<FailedSaysNothing> && !RuleLike<LostThrows>);
static_assert(!RuleLike<ReviewThrows> && !RuleLike<ReviewWithoutPlan>);
static_assert(!RuleLike<SucceededThrows> && !RuleLike<SucceededWithoutTurn>);
static_assert(!RuleLike<AbandonedThrows> && !RuleLike<ResetThrows>);
static_assert(!RuleLike<WindowInSeconds> && !RuleLike<LimitNotConst>);

}  // namespace
