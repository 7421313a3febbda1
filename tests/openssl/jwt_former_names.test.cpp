// SPDX-License-Identifier: MIT
// Goal: an observer of a beast::Listener or a jwt::Authorizer with the former hook on_refused is
// notified in the same way as with on_rejected. Method: observers with the former hook, and near
// misses of it.
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

#include <string>
#include <system_error>
#include <type_traits>

#include <belay/beast/detail/listener_hooks.hpp>
#include <belay/openssl/jwt_authorizer.hpp>

#include "support/catch.hpp"

using namespace belay;

static_assert(std::is_same_v<beast::RefusedUpgrade, beast::RejectedUpgrade>);
using UpgradeReason = beast::RejectedUpgrade::Reason;
static_assert(UpgradeReason::refusals_per_ip_and_minute ==
              UpgradeReason::rejections_per_ip_and_minute);
static_assert(to_string(UpgradeReason::refusals_per_ip_and_minute) == "refusals_per_ip_and_minute");
// The alias has no number of its own.
static_assert(to_string(UpgradeReason::given_up) == "given_up");
static_assert(to_string(UpgradeReason::closed) == "closed");

namespace {

struct FormerListenerHook {
    std::string* path;
    void on_refused(const beast::RefusedUpgrade& refused) { *path = refused.path; }
};
struct FormerListenerHookWrong : NoObserver {
    void on_refused(int) {}
};
struct FormerJwtHook {
    std::error_code* why;
    void on_refused(const std::error_code& error) { *why = error; }
};
struct FormerJwtHookWrong : NoObserver {
    void on_refused(const std::string&) {}
};

using UpgradeRejected = detail::ListenerHooks::Rejected;
static_assert(UpgradeRejected::callable_on<FormerListenerHook>);
static_assert(!UpgradeRejected::right<FormerListenerHookWrong>);
using TokenRejected = detail::JwtHooks::Rejected;
static_assert(TokenRejected::callable_on<FormerJwtHook>);
static_assert(!TokenRejected::right<FormerJwtHookWrong>);
static_assert(detail::ListenerHooks::explain<FormerListenerHook>());
static_assert(detail::JwtHooks::explain<FormerJwtHook>());

}  // namespace

TEST_CASE("A listener and an authorizer notify an observer with the former hook on_refused",
          "[openssl][jwt_former_names][unit]") {
    std::string path;
    FormerListenerHook listener{&path};
    beast::RejectedUpgrade rejected{};
    rejected.path = "/ws";
    detail::notify<UpgradeRejected>(listener, detail::no_machine, rejected);
    CHECK(path == "/ws");
    std::error_code why;
    FormerJwtHook authorizer{&why};
    const std::error_code expired = jwt::Errc::expired;
    detail::notify<TokenRejected>(authorizer, detail::no_machine, expired);
    CHECK(why == expired);
}
