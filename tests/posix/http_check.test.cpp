// SPDX-License-Identifier: MIT
// Goal: check::http detects each mistake of an HTTP client. Method: a small client with one
// planted mistake each, over sockets; belay's own clients are tested in curl.
#include <belay/posix/http_check.hpp>

#include <memory>
#include <string>

#include "support/catch.hpp"
#include "support/posix/broken_http.hpp"

using namespace belay;
using belay_test::HttpMistake;

namespace {

template <HttpMistake mistake>
std::string wrong_with() {
    const auto broken =
        check::http([] { return std::make_unique<belay_test::BrokenHttpRig<mistake>>(); });
    return broken ? to_string(*broken) : "right";
}

}  // namespace

TEST_CASE("check::http reports the rule that each planted mistake breaks",
          "[posix][http_check][unit]") {
    using M = HttpMistake;
    using R = check::HttpRule;
    CHECK(wrong_with<M::none>() == "right");
    CHECK(wrong_with<M::ignores_failed_connections>() == to_string(R::answers));
    CHECK(wrong_with<M::fails_by_status>() == to_string(R::returns_the_response));
    CHECK(wrong_with<M::takes_an_early_head>() == to_string(R::returns_the_response));
    CHECK(wrong_with<M::leaves_it_packed>() == to_string(R::returns_the_response));
    CHECK(wrong_with<M::mixes_up_headers>() == to_string(R::returns_the_response));
    CHECK(wrong_with<M::reads_what_came_before>() == to_string(R::response_belongs_to_its_request));
    CHECK(wrong_with<M::forgets_headers>() == to_string(R::sends_what_was_asked));
    CHECK(wrong_with<M::cuts_the_body>() == to_string(R::sends_what_was_asked));
    CHECK(wrong_with<M::guesses_the_scheme>() == to_string(R::rejects_other_urls));
    CHECK(wrong_with<M::guesses_the_slashes>() == to_string(R::rejects_other_urls));
    CHECK(wrong_with<M::hides_credentials>() == to_string(R::rejects_other_urls));
    CHECK(wrong_with<M::smuggles>() == to_string(R::rejects_bad_text));
    CHECK(wrong_with<M::takes_half>() == to_string(R::part_is_no_response));
    CHECK(wrong_with<M::denies_what_was_sent>() == to_string(R::sent_is_reliable));
    CHECK(wrong_with<M::forgets_the_first_request>() == to_string(R::sent_is_reliable));
    CHECK(wrong_with<M::ignores_the_limit>() == to_string(R::limit_holds));
    CHECK(wrong_with<M::limits_too_early>() == to_string(R::limit_holds));
    CHECK(wrong_with<M::ignores_the_deadline>() == to_string(R::deadline_holds));
    CHECK(wrong_with<M::takes_zero_for_no_limit>() ==
          to_string(R::sends_nothing_after_the_deadline));
    CHECK(wrong_with<M::asks_after_the_deadline>() ==
          to_string(R::sends_nothing_after_the_deadline));
    CHECK(wrong_with<M::measures_each_piece>() == to_string(R::deadline_holds));
    CHECK(wrong_with<M::is_impatient>() == to_string(R::deadline_holds));
    CHECK(wrong_with<M::follows_unasked>() == to_string(R::follows_only_if_asked));
    CHECK(wrong_with<M::never_follows>() == to_string(R::follows_only_if_asked));
    CHECK(wrong_with<M::follows_for_ever>() == to_string(R::follows_three_at_most));
    CHECK(wrong_with<M::follows_anywhere>() == to_string(R::follows_within_the_origin));
    CHECK(wrong_with<M::calls_inside_of_request>() ==
          to_string(R::pieces_arrive_on_the_home_thread));
    CHECK(wrong_with<M::skips_the_head>() == to_string(R::head_comes_first));
    CHECK(wrong_with<M::keeps_the_body>() == to_string(R::pieces_are_the_body));
    CHECK(wrong_with<M::reports_at_the_end>() == to_string(R::pieces_come_as_they_are_sent));
    CHECK(wrong_with<M::drops_in_silence>() == to_string(R::dropping_answers_nothing));
    CHECK(wrong_with<M::answers_dropped_requests>() == to_string(R::dropping_answers_nothing));
    CHECK(wrong_with<M::reports_the_dropping_client>() ==
          to_string(R::reports_nothing_after_dropping));
    CHECK(wrong_with<M::reports_to_the_dropped_neighbour>() ==
          to_string(R::reports_nothing_after_dropping));
    CHECK(wrong_with<M::ends_in_silence>() == to_string(R::end_answers_nothing));
    CHECK(wrong_with<M::reports_as_it_ends>() == to_string(R::end_answers_nothing));
}
