// SPDX-License-Identifier: MIT
// Goal: a valid token becomes a Grant with user, access and expiry, and an invalid token becomes
// none. Method: tokens signed by the test, at times that it sets.
#include <belay/adapter/jwt_authorizer.hpp>

#include <optional>
#include <string>
#include <vector>

#include "support/adapter/jwt_maker.hpp"
#include "support/catch.hpp"
#include "support/core/observed_in_every_form.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::JwtMaker;

namespace {

struct WallAt {
    WallTime time{};
    WallTime now() const noexcept { return time; }
};
struct Errors {
    std::vector<std::error_code>* all;
    void on_refused(const std::error_code& why) { all->push_back(why); }
};
/// The owner of a board edits it, anybody else looks at public ones.
struct Rights {
    Access operator()(const jwt::Claims& who, const RoomRequest& request) const {
        if (request.board == who.subject) return Access::edit;
        return request.board == "public" ? Access::view : Access::none;
    }
};

}  // namespace

TEST_CASE("A token is a user with permissions, until it expires",
          "[adapter][jwt_authorizer][unit]") {
    auto verifier = jwt::Verifier::make({.leeway = 10s}, {{JwtMaker::secret()}});
    REQUIRE(verifier);
    std::vector<std::error_code> errors;
    const WallTime now{1'000'000s};
    jwt::Authorizer authorizer{std::move(*verifier), Rights{}, Errors{&errors}, WallAt{now}};
    static_assert(explain::authorizer_like<decltype(authorizer)>());
    const auto granted = [&](std::string board, std::string token) {
        std::optional<Grant> out;
        const RoomRequest request{.board = std::move(board), .token = std::move(token)};
        authorizer.check(request, Completion<Grant>{[&](std::optional<Grant> grant) noexcept {
                             out = std::move(grant);
                         }});
        REQUIRE(out.has_value());
        return *out;
    };
    const std::string token = JwtMaker::hs256(R"({"sub":"ann","exp":1000060})");
    CHECK(granted("ann", token).user == "ann");
    CHECK(granted("ann", token).access == Access::edit);
    CHECK(granted("ann", token).valid_for == 70s);
    CHECK(granted("public", token).access == Access::view);
    // Known, without a right: nothing tells an unknown board from one that is not theirs.
    CHECK(granted("bob", token).access == Access::none);
    CHECK(granted("bob", token).user == "ann");
    CHECK(errors.empty());
    for (const std::string& wrong :
         {std::string{}, token + "x", JwtMaker::hs256(R"({"sub":"ann","exp":999990})")}) {
        const Grant grant = granted("ann", wrong);
        CHECK(grant.user.empty());
        CHECK(grant.access == Access::none);
    }
    REQUIRE(errors.size() == 3);
    CHECK(errors[0] == jwt::Errc::missing);
    CHECK(errors[1] == jwt::Errc::bad_signature);
    CHECK(errors[2] == jwt::Errc::expired);
}

namespace {
/// Writes down what it hears.
struct WritesErrors {
    belay_test::Recorded& reported;
    void on_refused(const std::error_code& why) { reported.push_back(why.message()); }
};
}  // namespace

TEST_CASE("jwt::Authorizer reports why a token is rejected, in every form of observer",
          "[adapter][jwt_authorizer][unit]") {
    const auto run = [](auto&& observer) {
        jwt::Authorizer authorizer{*jwt::Verifier::make({}, {{JwtMaker::secret()}}), Rights{},
                                   std::forward<decltype(observer)>(observer)};
        const auto ignore = [](const std::optional<Grant>&) noexcept {};
        authorizer.check({}, Completion<Grant>{ignore});
        authorizer.check({.token = "a.b.c"}, Completion<Grant>{ignore});
    };
    belay_test::observed_in_every_form<WritesErrors>(
        run, {"there is no token", "the token is malformed or too long"});
}
