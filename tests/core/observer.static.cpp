// SPDX-License-Identifier: MIT
// Goal: a hook is found by its name in any form, and called only if its arguments fit. Without an
// observer it adds no cost.
#include <belay/core/observer.hpp>

#include <functional>
#include <string>
#include <type_traits>

using namespace belay;

static_assert(std::is_empty_v<NoObserver> && std::is_trivial_v<NoObserver>);

// The observer itself, also if it is in a reference_wrapper.
static_assert(std::is_same_v<detail::Unwrapped<NoObserver>, NoObserver>);
static_assert(std::is_same_v<detail::Unwrapped<std::reference_wrapper<NoObserver>>, NoObserver>);

namespace {

// A constructor accepts values that convert to its observer, and no copy of a base without the
// hooks.
struct DerivedObserver : NoObserver {
    void on_state(const int&);
};
static_assert(detail::ObserverArgument<NoObserver&, NoObserver>);
static_assert(detail::ObserverArgument<DerivedObserver, DerivedObserver>);
static_assert(detail::ObserverArgument<DerivedObserver&, std::reference_wrapper<DerivedObserver>>);
static_assert(!detail::ObserverArgument<DerivedObserver, NoObserver>);
static_assert(!detail::ObserverArgument<const DerivedObserver&, NoObserver>);

struct SomeMachine {};
using StateHook = detail::Hook<detail::OnState, SomeMachine, const int&>;

template <class O>
constexpr bool is_notified = StateHook::callable_on<O> && StateHook::right<O>;
template <class O>
constexpr bool is_wrong = !StateHook::callable_on<O> && !StateHook::right<O>;
template <class O>
constexpr bool has_none = !StateHook::callable_on<O> && StateHook::right<O>;

// ---- called -------------------------------------------------------------------------------------
struct ObservesAlone {
    void on_state(const int&);
};
struct ObservesWithMachine {
    void on_state(SomeMachine&, long);
};
struct ObservesByTemplate {
    void on_state(auto&, const auto&);
};
struct ObservesByOverload {
    void on_state(const char*);
    void on_state(int);
};
struct ObservesByMember {
    std::function<void(int)> on_state;
};
struct ObservesByBase : ObservesAlone {};
struct ObservesFinally final : ObservesAlone {};
static_assert(is_notified<ObservesAlone> && is_notified<ObservesWithMachine> &&
              is_notified<ObservesByTemplate>);
static_assert(is_notified<ObservesByOverload> && is_notified<ObservesByMember> &&
              is_notified<ObservesByBase>);
static_assert(is_notified<ObservesFinally>);

// ---- wrong in any form --------------------------------------------------------------------------
struct WrongPlain {
    void on_state(int&);
};
struct WrongOverloads {
    void on_state(std::string);
    void on_state(SomeMachine&);
};
struct WrongTemplate {
    void on_state(auto&, auto&, auto&);
};
struct WrongConstraint {
    template <class T>
        requires(sizeof(T) == 77)
    void on_state(const T&);
};
class WrongAccess {
    [[maybe_unused]] void on_state(const int&);
};
struct WrongTwice : ObservesAlone, WrongPlain {};
struct WrongMember {
    std::string on_state;
};
struct WrongType {
    using on_state = int;
};
struct WrongStatic {
    static void on_state();
};
struct WrongAbstract {
    virtual void on_state(int&) = 0;
    virtual ~WrongAbstract() = default;
};
struct WrongFinally final {
    void on_state(int&);
};
struct WrongSilence : NoObserver {
    void on_state(int&);
};
static_assert(is_wrong<WrongPlain> && is_wrong<WrongOverloads> && is_wrong<WrongTemplate>);
static_assert(is_wrong<WrongConstraint> && is_wrong<WrongAccess> && is_wrong<WrongTwice>);
static_assert(is_wrong<WrongMember> && is_wrong<WrongType> && is_wrong<WrongStatic>);
static_assert(is_wrong<WrongAbstract> && is_wrong<WrongFinally> && is_wrong<WrongSilence>);

// ---- a wrong hook has one error, not also that of an observer without hooks
struct Misspelt {
    void on_states(const int&);
};
static_assert(detail::has_any_hook_of<WrongPlain, StateHook>);
static_assert(!detail::has_any_hook_of<Misspelt, StateHook>);

static_assert(is_wrong<const ObservesAlone>,
              "one that is const hears nothing by hooks that are not");

// ---- none
struct HasOther {
    void on_sate(const int&);
};
class CannotBeDestroyed {
    ~CannotBeDestroyed();
};
union IsUnion {
    int a;
};
static_assert(has_none<HasOther> && has_none<NoObserver> && has_none<CannotBeDestroyed>);
static_assert(has_none<IsUnion> && has_none<int> && has_none<void (*)()>);

// ---- an observer has a hook, or derives from NoObserver -----------------------------------------
struct WithoutHooks : NoObserver {};
class SilentPrivately : NoObserver {};
static_assert(detail::has_any_hook_of<ObservesAlone, StateHook>);
static_assert(detail::has_any_hook_of<WithoutHooks, StateHook>);
static_assert(detail::has_any_hook_of<SilentPrivately, StateHook>);
static_assert(!detail::has_any_hook_of<HasOther, StateHook>);

// ---- noexcept is that of the form that is called
struct NoexceptWithMachine {
    void on_state(SomeMachine&, int) noexcept;
    void on_state(int);
};
static_assert(StateHook::never_throws<NoexceptWithMachine>());
static_assert(StateHook::never_throws<HasOther>() && !StateHook::never_throws<ObservesAlone>());

}  // namespace
