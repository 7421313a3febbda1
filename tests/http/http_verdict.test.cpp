// SPDX-License-Identifier: MIT
// Goal: one function decides on the answers to calls and upgrades, the page's tables say what it
// decides, and a user decides before it. Method: the tables of docs/reference/http-verdicts.md, all statuses, and
// a scripted client in virtual time.
#include <belay/http/http_message.hpp>

#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include <belay/http/http_calls.hpp>

#include "support/catch.hpp"
#include "support/http/scripted_http.hpp"
#include "support/page.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::AsyncSleeper;
using belay_test::ended;
using belay_test::ScriptedHttp;
using belay_test::status;
using HttpVerdict = HttpResponse::Verdict;
using HttpHistory = HttpResponse::History;
using HttpClassify = HttpResponse::Classify;
using HostVerdict = HttpVerdict::Host;
using Row = belay_test::PageRow;
using Step = ScriptedHttp::Step;

namespace {

const std::string judged_url = "http://a.example/x";
const HttpRequest a_call{.url = judged_url};
const HttpRequest an_upgrade{.url = judged_url, .headers = {{"Upgrade", "websocket"}}};

std::string yes_or_no(bool yes) { return yes ? "yes" : "no"; }
std::string cause_text(const Failure& failure) { return std::string{to_string(failure.cause)}; }
std::string host_text(HostVerdict host) {
    return host == HostVerdict::failure   ? "failure"
           : host == HostVerdict::success ? "success"
                                          : "-";
}
Failure failure_of(const HttpRequest& request, const HttpResponse& response,
                   const HttpHistory& history = {}) {
    return detail::failure_by(response.verdict(request, history), response, 30s);
}
/// The row of a status, as the code decides.
Row row_of_status(int code) {
    const HttpResponse response = status(code);
    const HttpVerdict call = response.verdict(a_call);
    const HttpVerdict upgrade = response.verdict(an_upgrade);
    const HttpVerdict settled = response.verdict(an_upgrade, {.settled = true});
    return {cause_text(failure_of(a_call, response)),
            yes_or_no(call.repeats),
            host_text(call.host),
            yes_or_no(call.pays),
            cause_text(failure_of(an_upgrade, response)),
            upgrade.repeats == settled.repeats ? yes_or_no(upgrade.repeats) : "until settled"};
}

struct VerdictRig {
    explicit VerdictRig(HttpClassify classify, HttpCallsOptions options = {})
        : calls{http, sleeper, options, {.classify = std::move(classify)}} {}
    Outcome<HttpResponse> send(HttpRequest request) {
        auto task = calls.send(request);
        task.start();
        sleeper.run();
        REQUIRE(task.done());
        return task.take();
    }

    AsyncSleeper sleeper;
    ScriptedHttp http{sleeper};
    HttpCalls<ScriptedHttp, AsyncSleeper> calls;
};

}  // namespace

TEST_CASE("docs/reference/http-verdicts.md has the verdict on each status",
          "[http][http_verdict][golden]") {
    std::set<int> listed;
    std::vector<std::pair<std::pair<int, int>, Row>> others;
    for (const Row& row : belay_test::table_of_page("reference/http-verdicts.md", "| status |")) {
        const std::string& names = row.front();
        const Row decided{row.begin() + 1, row.begin() + 7};
        std::istringstream parts{names};
        std::string part;
        while (std::getline(parts, part, ',')) {
            int from = 0, to = 0;
            if (std::sscanf(part.c_str(), " others from %d to %d", &from, &to) == 2) {
                others.push_back({{from, to}, decided});
                continue;
            }
            if (std::sscanf(part.c_str(), " %d to %d", &from, &to) == 1) to = from;
            for (int code = from; code <= to; ++code) {
                INFO(code);
                CHECK(row_of_status(code) == decided);
                CHECK(listed.insert(code).second);
            }
        }
    }
    for (const auto& [range, decided] : others) {
        for (int code = range.first; code <= range.second; ++code) {
            if (!listed.insert(code).second) continue;
            INFO(code);
            CHECK(row_of_status(code) == decided);
        }
    }
    for (int code = 100; code < 600; ++code) CHECK(listed.contains(code));
}

TEST_CASE("docs/reference/http-verdicts.md has the verdict on each error",
          "[http][http_verdict][golden]") {
    std::map<std::string, Row> rows;
    for (const Row& row : belay_test::table_of_page("reference/http-verdicts.md", "| error |"))
        rows[row.front()] = {row.begin() + 1, row.begin() + 5};
    const auto check = [&](const std::string& name, const std::error_code& error) {
        INFO(name);
        const HttpResponse none{.failure = Failure::from(error)};
        const HttpVerdict verdict = none.verdict(a_call);
        CHECK(rows[name] == Row{cause_text(none.failure), yes_or_no(verdict.repeats),
                                host_text(verdict.host), yes_or_no(verdict.pays)});
        rows.erase(name);
    };
    check("bad_url", HttpErrc::bad_url);
    check("bad_text", HttpErrc::bad_text);
    check("name_not_found", HttpErrc::name_not_found);
    check("not_connected", HttpErrc::not_connected);
    check("certificate_rejected", HttpErrc::certificate_rejected);
    check("tls_failed", HttpErrc::tls_failed);
    check("timed_out", HttpErrc::timed_out);
    check("lost", HttpErrc::lost);
    check("not_http", HttpErrc::not_http);
    check("too_long", HttpErrc::too_long);
    check("client_failed", HttpErrc::client_failed);
    check("client_certificate", HttpErrc::client_certificate);
    check("proxy_rejected", HttpErrc::proxy_rejected);
    check("proxy_not_connected", HttpErrc::proxy_not_connected);
    check("no_token", HttpErrc::no_token);
    check("std::errc::too_many_files_open", std::make_error_code(std::errc::too_many_files_open));
    check("std::errc::network_unreachable", std::make_error_code(std::errc::network_unreachable));
    check("std::errc::permission_denied", std::make_error_code(std::errc::permission_denied));
    CHECK(rows.empty());
}

TEST_CASE("The budget pays for a 429 unless its Retry-After makes the host's calls wait",
          "[http][http_verdict][regression]") {
    const auto pays = [](HttpHeaders headers) {
        return status(429, std::move(headers)).verdict(a_call).pays;
    };
    CHECK(pays({}));
    CHECK(pays({{"Retry-After", "0"}}));
    for (const char* const waits : {"1", "", "-3", "soon"}) {
        INFO(waits);
        CHECK_FALSE(pays({{"Retry-After", waits}}));
    }
}

TEST_CASE("A rejected upgrade is final only after it was repeated for some time",
          "[http][http_verdict][regression]") {
    detail::HttpRejections rejections;
    const detail::HttpPatience patience;
    const auto cause_at = [&](int code, Duration at) {
        const HttpHistory history = rejections.take(code, code == 101, Instant{} + at, patience);
        return failure_of(an_upgrade, status(code), history).cause;
    };
    // A client that starts together with its server.
    for (const Duration at : {0s, 10s, 20s, 30s, 59s}) CHECK(cause_at(404, at) == Cause::refused);
    CHECK(cause_at(404, 60s) == Cause::permanent);
    // Few rejections are not enough, however long they last.
    CHECK(cause_at(503, 61s) == Cause::overloaded);
    CHECK(cause_at(404, 62s) == Cause::refused);
    CHECK(cause_at(404, 2h) == Cause::refused);
    // An endpoint that has accepted an upgrade gets more time.
    static_cast<void>(cause_at(101, 3h));
    for (int i = 0; i < 10; ++i) CHECK(cause_at(410, 3h + i * 1min) == Cause::refused);
    CHECK(cause_at(404, 3h + 10min) == Cause::permanent);
    // Neither is ever final.
    for (int i = 0; i < 100; ++i) {
        CHECK(cause_at(i % 2 == 0 ? 421 : 425, 4h + i * 1h) == Cause::refused);
    }
    CHECK(rejections.take(404, false, Instant{}, detail::HttpPatience::at_once()).settled);
}

TEST_CASE("HttpCallsOptions::Hooks::classify decides before HttpResponse::verdict does",
          "[http][http_verdict][unit]") {
    const auto busy_key = [](const HttpRequest& request, const HttpResponse& response,
                             const HttpHistory&) -> std::optional<HttpVerdict> {
        const bool has_key = request.headers.find("Idempotency-Key") != nullptr;
        if (response.status == 409 && has_key) {
            return HttpVerdict{.repeats = true, .host = HostVerdict::success, .pays = false};
        }
        if (response.body.find("\"error\"") != std::string::npos) {
            return HttpVerdict{.repeats = true, .host = HostVerdict::failure, .pays = true};
        }
        return std::nullopt;
    };
    VerdictRig rig{busy_key};
    const auto keyed = [] {
        return HttpRequest{
            .url = judged_url, .method = "POST", .headers = {{"Idempotency-Key", "k"}}};
    };
    rig.http.script = {Step{status(409)}, Step{status(409)}, Step{status(200)}};
    CHECK(rig.send(keyed()));
    CHECK(rig.http.seen.size() == 3);
    rig.http.script = {Step{status(409)}};
    CHECK(rig.send({.url = judged_url}).error() == std::error_code{409, http_category()});
    CHECK(rig.http.seen.size() == 4);
    // Calls that pay nothing leave the budget full, and a server that is well keeps its breaker.
    for (int i = 0; i < 50; ++i) CHECK_FALSE(rig.send(keyed()));
    CHECK(rig.calls.breaker_state(judged_url) == BreakerState::closed);
    CHECK(rig.calls.counters().over_budget == 0);
    // An error inside of a 200.
    rig.http.script = {Step{{.status = 200, .body = R"({"error":1})"}},
                       Step{{.status = 200, .body = "{}"}}};
    CHECK(rig.send({.url = judged_url})->body == "{}");
    rig.http.script = {Step{{.status = 200, .body = R"({"error":1})"}}};
    const auto failed = rig.send({.url = judged_url});
    CHECK(failed.error() == std::error_code{200, http_category()});
    REQUIRE(failed.last() != nullptr);
    CHECK(failed.last()->body == R"({"error":1})");
    VerdictRig broken{busy_key};
    broken.http.script = rig.http.script;
    for (int i = 0; i < 50; ++i) CHECK_FALSE(broken.send({.url = judged_url}));
    CHECK(broken.calls.breaker_state(judged_url) == BreakerState::open);
}

TEST_CASE("HttpCallsOptions::Hooks::classify decides on hedged requests and errors, too",
          "[http][http_verdict][unit]") {
    int called = 0;
    const auto never_repeats = [&called](const HttpRequest&, const HttpResponse& response,
                                         const HttpHistory&) -> std::optional<HttpVerdict> {
        ++called;
        if (response.failure.code == static_cast<int>(HttpErrc::lost)) {
            return HttpVerdict{.repeats = false, .host = HostVerdict::neutral, .pays = false};
        }
        return std::nullopt;
    };
    VerdictRig rig{never_repeats, {.hedge_after = 1s}};
    rig.http.script = {Step{ended(HttpErrc::lost)}};
    for (int i = 0; i < 50; ++i) CHECK(rig.send({.url = judged_url}).error() == HttpErrc::lost);
    CHECK(rig.http.seen.size() == 50);
    CHECK(called == 50);
    CHECK(rig.calls.breaker_state(judged_url) == BreakerState::closed);
    // The verdict on a function that throws is the default one.
#if defined(__cpp_exceptions)
    VerdictRig throws{[](const HttpRequest&, const HttpResponse&,
                         const HttpHistory&) -> std::optional<HttpVerdict> { throw 1; }};
    throws.http.script = {Step{status(503)}, Step{status(200)}};
    CHECK(throws.send({.url = judged_url}));
#endif
}

TEST_CASE("HttpCalls sends a request that was misdirected over a new connection",
          "[http][http_verdict][unit]") {
    VerdictRig rig{{}};
    std::vector<bool> fresh;
    rig.http.script = {Step{status(421)}, Step{status(503)}, Step{status(200)}};
    rig.http.on_request = [&](const HttpRequest& request) {
        fresh.push_back(request.fresh_connection);
    };
    CHECK(rig.send({.url = judged_url}));
    CHECK(fresh == std::vector{false, true, false});
}

TEST_CASE("HttpCalls: a fault of this program is neither repeated nor the host's",
          "[http][http_verdict][regression]") {
    for (const HttpErrc why : {HttpErrc::client_failed, HttpErrc::client_certificate,
                               HttpErrc::proxy_rejected, HttpErrc::bad_url}) {
        INFO(make_error_code(why).message());
        VerdictRig rig{{}};
        rig.http.script = {Step{ended(why, false)}};
        for (int i = 0; i < 100; ++i) CHECK(rig.send({.url = judged_url}).error() == why);
        CHECK(rig.http.seen.size() == 100);
        CHECK(rig.calls.breaker_state(judged_url) == BreakerState::closed);
        // The budget is still full.
        rig.http.script = {Step{status(503)}, Step{status(503)}, Step{status(503)},
                           Step{status(200)}};
        CHECK(rig.send({.url = judged_url}));
    }
    // One that may pass is repeated, and one that lasts is not.
    const auto requests_after = [](const std::error_code& error) {
        VerdictRig rig{{}};
        rig.http.script = {Step{{.failure = Failure::from(error), .sent = false}}};
        for (int i = 0; i < 100; ++i) CHECK_FALSE(rig.send({.url = judged_url, .method = "POST"}));
        CHECK(rig.calls.breaker_state(judged_url) == BreakerState::closed);
        return rig.http.seen.size();
    };
    using enum std::errc;
    for (const auto passing : {too_many_files_open, not_enough_memory, no_buffer_space,
                               network_unreachable, network_down, address_not_available}) {
        CHECK(requests_after(std::make_error_code(passing)) == 400);
    }
    CHECK(requests_after(HttpErrc::proxy_not_connected) == 400);
    for (const auto lasting : {permission_denied, operation_not_permitted, invalid_argument,
                               address_family_not_supported}) {
        CHECK(requests_after(std::make_error_code(lasting)) == 100);
    }
}
