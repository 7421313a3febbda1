// SPDX-License-Identifier: MIT
// Goal: ShareableLike accepts breakers and budgets, and rejects types that Shared would call
// without effect.
#include <belay/policy/shared.hpp>

#include <cstdint>

#include <belay/breaker/circuit_breaker.hpp>
#include <belay/budget/adaptive_limit.hpp>
#include <belay/budget/adaptive_throttle.hpp>
#include <belay/budget/budgets.hpp>

using namespace belay;

namespace {

struct Permit {
    Permit() noexcept;
    Permit(Permit&&) noexcept;
    Permit& operator=(Permit&&) noexcept;
    ~Permit();
    Advice advice() const noexcept;
    Advice failure(Turn&) noexcept;
    void success(Turn&) noexcept;
    void neutral() noexcept;
};
template <class P>
struct With {
    using Permit = P;
    Advice admit(Instant) const noexcept;
    P acquire(Turn&) noexcept;
};
struct Budget : With<Permit> {
    Permit reserve(Cause, Turn&) noexcept;
};

static_assert(ShareableLike<With<Permit>> && explain::shareable_like<With<Permit>>());
static_assert(ShareableLike<Budget> && explain::shareable_like<Budget>());
static_assert(!part::ReservableLike<With<Permit>> && part::ReservableLike<Budget>);
static_assert(RuleLike<Shared<With<Permit>>> && RuleLike<Shared<Budget>>);
static_assert(ShareableLike<CircuitBreaker<>> && !part::ReservableLike<CircuitBreaker<>>);

// An object of yours may also have the members of a pointer or of a std::reference_wrapper, and may
// give permits while it is const.
struct GetsAndPoints : With<Permit> {
    int get() const noexcept;
    int operator*() const noexcept;
};
struct GivesWhileConst {
    using Permit = ::Permit;
    Advice admit(Instant) const noexcept;
    Permit acquire(Turn&) const noexcept;
};
static_assert(RuleLike<Shared<GetsAndPoints>> && RuleLike<Shared<const GivesWhileConst>>);

struct SpreadsInTicks : With<Permit> {
    [[nodiscard]] int spread() const noexcept { return 1; }
};
static_assert(detail::HasSpread<CircuitBreaker<>>);
static_assert(!ShareableLike<SpreadsInTicks>, "its spread would be ignored");
struct GainsInTokens : Budget {
    [[nodiscard]] int gains_by_time() const noexcept { return 1; }
};
static_assert(!ShareableLike<GainsInTokens>, "its answer would be ignored");
static_assert(detail::HasGainsByTime<RatioBudget> && !detail::HasGainsByTime<TokenBudget>);
static_assert(part::ReservableLike<TokenBudget> && part::ReservableLike<RatioBudget>);
static_assert(ShareableLike<AdaptiveThrottle> && ShareableLike<AdaptiveLimit<>>);

static_assert(!ShareableLike<int>);
struct WithoutPermit {
    Advice admit(Instant) const noexcept;
};
static_assert(!ShareableLike<WithoutPermit>);
struct AdmitChanges : With<Permit> {
    Advice admit(Instant) noexcept;
};
static_assert(!ShareableLike<AdmitChanges>);
struct AcquireThrows : With<Permit> {
    Permit acquire(Turn&);
};
static_assert(!ShareableLike<AcquireThrows>);
struct AcquireReturnsBool : With<Permit> {
    bool acquire(Turn&) noexcept;
};
static_assert(!ShareableLike<AcquireReturnsBool>);

struct NeverEmpty : Permit {
    explicit NeverEmpty(int) noexcept;
};
static_assert(!ShareableLike<With<NeverEmpty>>);
struct SilentFailure : Permit {
    void failure(Turn&) noexcept;
};
static_assert(!ShareableLike<With<SilentFailure>>);
struct NeutralThrows : Permit {
    void neutral();
};
static_assert(!ShareableLike<With<NeutralThrows>>);

// A failure may take the Failure as an argument, in this form only.
struct ReportedWhy : Permit {
    using Permit::failure;
    Advice failure(const Failure&, Turn&) noexcept;
};
static_assert(ShareableLike<With<ReportedWhy>> && detail::TakesFailures<ReportedWhy>);
static_assert(ShareableLike<With<Permit>> && !detail::TakesFailures<Permit>);
struct ReportedWhyThrows : Permit {
    using Permit::failure;
    Advice failure(const Failure&, Turn&);
};
static_assert(!ShareableLike<With<ReportedWhyThrows>>);
struct ReportedWhyToChange : Permit {
    using Permit::failure;
    Advice failure(Failure&, Turn&) noexcept;
};
struct ReportedWhyLast : Permit {
    using Permit::failure;
    Advice failure(Turn&, const Failure&) noexcept;
};
static_assert(!ShareableLike<With<ReportedWhyToChange>> && !ShareableLike<With<ReportedWhyLast>>);

// A spend in another form would never be called. Without reserve, it is a function of the permit
// only.
template <class P>
struct Reserves : With<P> {
    P reserve(Cause, Turn&) noexcept;
};
struct Spends : Permit {
    void spend(Turn&) noexcept;
};
struct SpendsWithoutTurn : Permit {
    void spend() noexcept;
};
class SpendsInSecret : public Permit {
    void spend(Turn&) noexcept;
};
struct SpendsOtherwise : Permit {
    void spend(std::uint64_t rows);
};
static_assert(ShareableLike<With<Spends>> && ShareableLike<Reserves<Spends>>);
static_assert(!ShareableLike<Reserves<SpendsWithoutTurn>>);
static_assert(!ShareableLike<Reserves<SpendsInSecret>>);
static_assert(ShareableLike<With<SpendsOtherwise>> && !ShareableLike<Reserves<SpendsOtherwise>>);

// A reservation in another form would never be requested.
struct ReserveWithoutCause : With<Permit> {
    Permit reserve(Turn&) noexcept;
};
struct ReserveThrows : With<Permit> {
    Permit reserve(Cause, Turn&);
};
struct ReserveReturnsBool : With<Permit> {
    bool reserve(Cause, Turn&) noexcept;
};
static_assert(!ShareableLike<ReserveWithoutCause> && !part::ReservableLike<ReserveWithoutCause>);
static_assert(!ShareableLike<ReserveThrows> && !ShareableLike<ReserveReturnsBool>);

// It may have the hook `wanted` for each caller; Shared then has it, too.
struct WantedReported : With<Permit> {
    void wanted(Turn&) noexcept;
};
struct SharedWantedThrows : With<Permit> {
    void wanted(Turn&);
};
struct SharedWantedAdvises : With<Permit> {
    Advice wanted(Turn&) noexcept;
};
static_assert(ShareableLike<WantedReported> && detail::HasWanted<Shared<WantedReported>>);
static_assert(!detail::HasWanted<Shared<With<Permit>>> && RuleLike<Shared<WantedReported>>);
static_assert(!ShareableLike<SharedWantedThrows> && !ShareableLike<SharedWantedAdvises>);

// A member with such a name counts in any form: overloaded, private, or a template.
class ReserveIsPrivate : public With<Permit> {
    Permit reserve(Cause, Turn&) noexcept;
};
struct ReserveOverloaded : With<Permit> {
    Permit reserve(Turn&) noexcept;
    Permit reserve(int) noexcept;
};
struct ReserveIsTemplate : With<Permit> {
    template <class T>
    Permit reserve() noexcept;
};
class SharedWantedIsPrivate : public With<Permit> {
    void wanted(Turn&) noexcept;
};
struct SharedWantedOverloaded : With<Permit> {
    void wanted() noexcept;
    void wanted(Instant) noexcept;
};
class NameIsPrivate : public With<Permit> {
    static constexpr std::string_view name = "secret";
};
static_assert(!ShareableLike<ReserveIsPrivate> && !ShareableLike<ReserveOverloaded>);
static_assert(!ShareableLike<ReserveIsTemplate>);
static_assert(!ShareableLike<SharedWantedIsPrivate> && !ShareableLike<SharedWantedOverloaded>);
static_assert(!ShareableLike<NameIsPrivate>);
class GainsIsPrivate : public Budget {
    [[nodiscard]] bool gains_by_time() const noexcept;
};
struct GainsIsData : Budget {
    bool gains_by_time = true;
};
struct GainsAtInstant : Budget {
    [[nodiscard]] bool gains_by_time(Instant) const noexcept;
};
struct GainsChanges : Budget {
    [[nodiscard]] bool gains_by_time() noexcept;
};
static_assert(!ShareableLike<GainsIsPrivate> && !ShareableLike<GainsIsData>);
static_assert(!ShareableLike<GainsAtInstant> && !ShareableLike<GainsChanges>);
class SpreadIsPrivate : public With<Permit> {
    [[nodiscard]] Duration spread() const noexcept;
};
struct SpreadIsData : With<Permit> {
    Duration spread{1};
};
struct SpreadAtInstant : With<Permit> {
    [[nodiscard]] Duration spread(Instant) const noexcept;
};
static_assert(!ShareableLike<SpreadIsPrivate> && !ShareableLike<SpreadIsData>);
static_assert(!ShareableLike<SpreadAtInstant>);

}  // namespace
