// SPDX-License-Identifier: MIT
// Goal: a valid token becomes a Grant with user, access and expiry, and an invalid token becomes
// none. Method: tokens signed by the test, at times that it sets.
#include <belay/openssl/jwt_authorizer.hpp>

#include <optional>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "support/core/observed_in_every_form.hpp"
#include "support/openssl/jwt_maker.hpp"

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
    void on_rejected(const std::error_code& why) { all->push_back(why); }
};
/// The owner of a board may edit it, and other users may view public ones.
struct Rights {
    Access operator()(const jwt::Claims& who, const RoomRequest& request) const {
        if (request.room_id == who.subject) return Access::edit;
        return request.room_id == "public" ? Access::view : Access::none;
    }
};

}  // namespace

TEST_CASE("A token is a user with permissions, until it expires",
          "[openssl][jwt_authorizer][unit]") {
    auto verifier = jwt::Verifier::make({.leeway = 10s}, {{JwtMaker::secret()}});
    REQUIRE(verifier);
    std::vector<std::error_code> errors;
    const WallTime now{1'000'000s};
    jwt::Authorizer authorizer{std::move(*verifier), Rights{}, Errors{&errors}, WallAt{now}};
    static_assert(explain::authorizer_like<decltype(authorizer)>());
    const auto granted = [&](std::string board, std::string token) {
        std::optional<Grant> out;
        const RoomRequest request{.room_id = std::move(board), .token = std::move(token)};
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
    // The user is authenticated, and has no access.
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

/// Makes an authorizer with these rights; tokens expire at 1,000,060 s.
template <class R>
auto authorizer_with(R rights, WallAt clock) {
    auto verifier = jwt::Verifier::make({.leeway = 0s}, {{JwtMaker::secret()}});
    REQUIRE(verifier);
    return jwt::Authorizer{std::move(*verifier), std::move(rights), NoObserver{}, clock};
}
RoomRequest request_of_ann() {
    return {.room_id = "plan", .token = JwtMaker::hs256(R"({"sub":"ann","exp":1000060})")};
}

}  // namespace

#if OPENSSL_VERSION_MAJOR >= 3
TEST_CASE("jwt::Authorizer does not reject a token that it could not verify",
          "[openssl][jwt_authorizer][fault]") {
    auto verifier = jwt::Verifier::make({.leeway = 0s}, {{JwtMaker::secret()}});
    REQUIRE(verifier);
    std::vector<std::error_code> errors;
    jwt::Authorizer authorizer{std::move(*verifier), Rights{}, Errors{&errors},
                               WallAt{WallTime{1'000'000s}}};
    const RoomRequest request = request_of_ann();
    driver::Question<Grant> question;
    // No provider of algorithms has this property.
    REQUIRE(EVP_set_default_properties(nullptr, "absent=yes") == 1);
    authorizer.check(request, question.ask());
    REQUIRE(EVP_set_default_properties(nullptr, "") == 1);
    REQUIRE(question.answered());
    CHECK_FALSE(question.take().has_value());
    REQUIRE(errors.size() == 1);
    CHECK(errors[0] == jwt::Errc::not_verified);
}
#endif

TEST_CASE("Rights without an access make a valid token that of no user",
          "[openssl][jwt_authorizer][unit]") {
    std::optional<Access> access;
    auto authorizer =
        authorizer_with([&](const jwt::Claims&, const RoomRequest&) { return access; },
                        WallAt{WallTime{1'000'000s}});
    const auto granted = [&] {
        driver::Question<Grant> question;
        authorizer.check(request_of_ann(), question.ask());
        REQUIRE(question.answered());
        return *question.take();
    };
    CHECK(granted().user.empty());
    CHECK(granted().access == Access::none);
    access = Access::none;
    CHECK(granted().user == "ann");
    CHECK(granted().access == Access::none);
    access = Access::view;
    CHECK(granted().access == Access::view);
    CHECK(granted().valid_for == 60s);
}

namespace {

struct TokenWall {
    WallTime* time;
    WallTime now() const noexcept { return *time; }
};

}  // namespace

TEST_CASE("Rights may answer later, and the grant ends with the token",
          "[openssl][jwt_authorizer][unit]") {
    WallTime now{1'000'000s};
    std::optional<Completion<std::optional<Access>>> pending;
    auto verifier = jwt::Verifier::make({.leeway = 0s}, {{JwtMaker::secret()}});
    REQUIRE(verifier);
    jwt::Authorizer authorizer{std::move(*verifier),
                               [&](const jwt::Claims& who, const RoomRequest& request,
                                   Completion<std::optional<Access>> answer) {
                                   CHECK(who.subject == "ann");
                                   CHECK(request.room_id == "plan");
                                   pending.emplace(std::move(answer));
                               },
                               NoObserver{}, TokenWall{&now}};
    static_assert(explain::authorizer_like<decltype(authorizer)>());
    driver::Question<Grant> question;
    authorizer.check(request_of_ann(), question.ask());
    REQUIRE(pending);
    CHECK_FALSE(question.answered());
    SECTION("in time") {
        now += 20s;
        (*pending)(Access::edit);
        const std::optional<Grant> grant = question.take();
        REQUIRE(grant);
        CHECK(grant->user == "ann");
        CHECK(grant->access == Access::edit);
        CHECK(grant->valid_for == 40s);
    }
    SECTION("when the token has expired") {
        now += 61s;
        (*pending)(Access::edit);
        CHECK(question.take()->valid_for == 0s);
    }
    SECTION("after a clock jumped back, and not for longer") {
        now -= 1h;
        (*pending)(Access::edit);
        CHECK(question.take()->valid_for == 60s);
    }
    SECTION("with no user") {
        (*pending)(std::nullopt);
        CHECK(question.take()->user.empty());
    }
    SECTION("without an answer") {
        pending.reset();
        REQUIRE(question.answered());
        CHECK_FALSE(question.take());
    }
    SECTION("after the caller has ended") {
        CHECK(pending->wanted());
        question.drop();
        (*pending)(Access::edit);
    }
}

namespace {
/// Records the events of its hooks.
struct WritesErrors {
    belay_test::Recorded& reported;
    void on_rejected(const std::error_code& why) { reported.push_back(why.message()); }
};
}  // namespace

TEST_CASE("jwt::Authorizer reports why a token is rejected, in every form of observer",
          "[openssl][jwt_authorizer][unit]") {
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
