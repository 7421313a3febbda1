// SPDX-License-Identifier: MIT
/// \file belay/posix/detail/http_checker.hpp
/// HttpChecker: checks an HTTP client against the rules of http_check.hpp.
#pragma once

#include <atomic>       // std::atomic
#include <memory>       // std::shared_ptr, std::pointer_traits
#include <optional>     // std::optional
#include <thread>       // std::this_thread
#include <type_traits>  // std::remove_cvref_t

#include <belay/http/http_like.hpp>
#include <belay/http/http_rule.hpp>
#include <belay/posix/detail/scripted_http_server.hpp>

namespace belay { inline namespace BELAY_ABI { namespace posix::detail {

/// The observed results of a request. Completions run on any thread, on_chunk on one.
struct HttpAsked {
    std::string target;
    std::atomic<bool> completed{false};
    /// Set before `completed`; none if the completion got no value.
    std::optional<HttpResponse> response;
    std::string pieces;
    bool piece_came = false;
    int calls = 0;
    bool inside = true;  ///< request() has not returned yet
    bool in_turn = true;
    bool head_first = true;
    bool before_answer = true;
};

/// Runs all checks of a client. The result is the first rule that it breaks.
template <class Make>
class HttpChecker {
    using Pointer = std::remove_cvref_t<decltype(std::declval<Make&>()())>;
    using Rig = typename std::pointer_traits<Pointer>::element_type;
    using Http = std::remove_cvref_t<decltype(std::declval<Rig&>().http)>;
    static_assert(explain::http_like<Http>());
    using Handle = belay::detail::HttpHandleOf<Http>;
    using Rule = check::HttpRule;
    using Asked = std::shared_ptr<HttpAsked>;

public:
    explicit HttpChecker(Make& make) noexcept : make_{make} {}

    [[nodiscard]] std::optional<Rule> run() {
        using Check = void (HttpChecker::*)();
        constexpr Check checks[] = {&HttpChecker::responses, &HttpChecker::unasked_responses,
                                    &HttpChecker::requests,  &HttpChecker::rejections,
                                    &HttpChecker::faults,    &HttpChecker::limits,
                                    &HttpChecker::deadlines, &HttpChecker::passed_deadlines,
                                    &HttpChecker::redirects, &HttpChecker::pieces,
                                    &HttpChecker::dropping,  &HttpChecker::dropping_another,
                                    &HttpChecker::end,       &HttpChecker::end_inside};
        for (const Check check : checks) {
            server_.emplace();
            rig_ = make_();
            (this->*check)();
            handle_.reset();
            rig_ = Pointer{};
            if (broken_) break;
        }
        return broken_;
    }

private:
    /// The most turns of run_once() to wait for something that must happen.
    static constexpr int rounds_max = 10'000;
    /// The turns in which something that must not happen is given time to happen.
    static constexpr int rounds_of_rest = 30;
    static constexpr auto soon = std::chrono::milliseconds{100};
    /// The time that a loop spends on other work, while two answers arrive.
    static constexpr auto other_work = std::chrono::milliseconds{40};

    // ---- checks ---------------------------------------------------------------------------------

    void responses() {
        // Twice, because the connection may be reused.
        for (int i = 0; i < 2; ++i) {
            const HttpResponse page = get("/page");
            std::string fields;
            for (const auto& [name, value] : page.headers) {
                if (belay::detail::is_same_name(name.substr(0, 2), "x-")) {
                    fields += value + ",";
                }
            }
            expect(
                page.complete() && page.status == 200 && page.body == "hello" && fields == "1,2,,",
                Rule::returns_the_response);
        }
        const HttpResponse busy = get("/busy");
        expect(busy.complete() && busy.status == 503 && busy.body == "busy" &&
                   http_failure(busy).retry_after == std::chrono::seconds{7},
               Rule::returns_the_response);
        expect(get("/nowhere").complete(), Rule::returns_the_response);
        expect(get("/packed").body == std::string(ScriptedHttpServer::large_bytes, 'x'),
               Rule::returns_the_response);
        HttpRequest nobody{.url = server_->dead_url()};
        const HttpResponse none = answer(std::move(nobody));
        expect(!none.complete() && none.status == 0, Rule::answers);
    }
    void unasked_responses() {
        expect(get("/page").body == "hello", Rule::returns_the_response);
        server_->respond_unasked();
        for (int i = 0; i < 2; ++i) {
            expect(get("/page").body == "hello", Rule::response_belongs_to_its_request);
        }
    }
    void requests() {
        const std::string target = "/echo?a=%20b/../c";
        const std::string body = "{\"a\":\"\r\n\r\n\"}" + std::string(70'000, 'x') + '\0';
        for (const char* const method : {"POST", "PUT"}) {
            HttpRequest request{.url = server_->url(target),
                                .method = method,
                                .headers = {{"X-Mine", "a b\tc"}, {"x-second", "2"}},
                                .body = body};
            expect(answer(std::move(request)).body == body, Rule::sends_what_was_asked);
            if (!right()) return;
            const ScriptedRequest& seen = server_->log().back();
            const std::string* const mine = seen.headers.find("X-Mine");
            const std::string* const second = seen.headers.find("X-Second");
            expect(server_->seen(target) != 0 && seen.method == method && seen.body == body &&
                       mine != nullptr && *mine == "a b\tc" && second != nullptr && *second == "2",
                   Rule::sends_what_was_asked);
        }
    }
    void rejections() {
        const auto url = Rule::rejects_other_urls;
        for (const std::string& wrong :
             {std::string{}, std::string{"/page"}, server_->place() + "/page",
              "ftp://" + server_->place() + "/page", std::string{"file:///etc/hostname"},
              "http:/" + server_->place() + "/page", "http:///" + server_->place() + "/page",
              "http://me:secret@" + server_->place() + "/page", server_->url("/a page"),
              server_->url("/page\r\nX-Smuggled: 1")}) {
            expect_rejected({.url = wrong}, HttpErrc::bad_url, url);
        }
        rest();
        expect(server_->log().empty(), url);
        const auto text = Rule::rejects_bad_text;
        for (const char* const wrong : {"", "GET /page", "GET\r\nX-Smuggled: 1", "G(T"}) {
            expect_rejected({.url = server_->url("/page"), .method = wrong}, HttpErrc::bad_text,
                            text);
        }
        for (const HttpHeaders::Field& wrong : {HttpHeaders::Field{"X", "a\r\nX-Smuggled: 1"},
                                                {"X", std::string{"a\0b", 3}},
                                                {"X\r\nX-Smuggled", "1"},
                                                {"", "1"},
                                                {"content-length", "3"},
                                                {"Transfer-Encoding", "chunked"}}) {
            expect_rejected({.url = server_->url("/page"), .headers = {wrong}}, HttpErrc::bad_text,
                            text);
        }
        rest();
        expect(server_->log().empty(), text);
    }
    void faults() {
        expect(!get("/half").complete(), Rule::part_is_no_response);
        for (const char* const target : {"/cut", "/noise"}) {
            const HttpResponse none = get(target);
            expect(!none.complete() && none.status == 0, Rule::part_is_no_response);
        }
    }
    void limits() {
        constexpr std::size_t all = ScriptedHttpServer::large_bytes;
        for (const char* const target : {"/large", "/packed"}) {
            for (const std::size_t limit : {all, all - 1, std::size_t{100}}) {
                HttpRequest request{.url = server_->url(target), .body_bytes_max = limit};
                const HttpResponse response = answer(std::move(request));
                expect(response.complete() == (limit >= all) && response.body.size() <= limit,
                       Rule::limit_holds);
            }
        }
        // The limit also holds if the body is not stored.
        HttpRequest request{.url = server_->url("/large"), .body_bytes_max = 100};
        const Asked asked = ask_in_pieces(std::move(request));
        until([&] { return asked->completed.load(); }, Rule::answers);
        if (right()) {
            expect(asked->response && !asked->response->complete() && asked->pieces.size() <= 100,
                   Rule::limit_holds);
        }
    }
    void deadlines() {
        for (const char* const target : {"/never", "/drips"}) {
            HttpRequest request{.url = server_->url(target), .deadline = soon};
            const HttpResponse late = answer(std::move(request), Rule::deadline_holds);
            expect(late.failure.cause == Cause::timed_out, Rule::deadline_holds);
        }
        HttpRequest request{.url = server_->url("/never"), .deadline = forever};
        const Asked asked = ask(std::move(request));
        until([&] { return server_->seen("/never") == 2; }, Rule::sends_what_was_asked);
        rest();
        expect(!asked->completed, Rule::deadline_holds);
    }
    void passed_deadlines() {
        constexpr auto rule = Rule::sends_nothing_after_the_deadline;
        for (const Duration passed : {Duration{}, Duration{-1}, Duration::min()}) {
            expect_rejected({.url = server_->url("/page"), .deadline = passed}, HttpErrc::timed_out,
                            rule);
        }
        rest();
        expect(server_->log().empty(), rule);
    }
    void redirects() {
        const HttpResponse moved = get("/moved");
        expect(moved.complete() && moved.status == 302 && moved.body == "moved" &&
                   moved.headers.find("location") != nullptr && server_->seen("/page") == 0,
               Rule::follows_only_if_asked);
        const auto follow = [&](std::string target) {
            return answer({.url = server_->url(target), .redirects = true});
        };
        expect(follow("/moved").body == "hello", Rule::follows_only_if_asked);
        const HttpResponse last = follow("/loop");
        expect(last.complete() && last.status == 302 && server_->seen("/loop") == 4,
               Rule::follows_three_at_most);
        for (const char* const target : {"/away", "/file"}) {
            const HttpResponse away = follow(target);
            expect(away.complete() && away.status == 302 && away.body == "moved" &&
                       server_->seen("/page") == 1,
                   Rule::follows_within_the_origin);
        }
    }
    void pieces() {
        const Asked asked = ask_in_pieces({.url = server_->url("/parts")});
        until([&] { return asked->pieces == "one"; }, Rule::pieces_come_as_they_are_sent);
        expect(!asked->completed, Rule::pieces_come_as_they_are_sent);
        server_->finish();
        until([&] { return asked->completed.load(); }, Rule::answers);
        rest();
        if (!right()) return;
        expect(asked->in_turn, Rule::pieces_arrive_on_the_home_thread);
        expect(asked->head_first, Rule::head_comes_first);
        expect(asked->before_answer && asked->pieces == "onetwo" && asked->response &&
                   asked->response->complete() && asked->response->body.empty(),
               Rule::pieces_are_the_body);
    }
    void dropping() {
        // Before the request has begun, while it waits, between two pieces, and inside of one.
        const Asked early = ask_in_pieces({.url = server_->url("/parts")});
        expect_no(early);
        const Asked silent = ask({.url = server_->url("/never")});
        until([&] { return server_->seen("/never") == 1; }, Rule::sends_what_was_asked);
        expect_no(silent);
        for (const bool inside : {false, true}) {
            const Asked asked = ask_in_pieces({.url = server_->url("/parts")}, inside);
            until([&] { return asked->piece_came; }, Rule::pieces_come_as_they_are_sent);
            expect_no(asked);
        }
        expect(get("/page").body == "hello", Rule::answers);
    }
    /// Checks that dropping the handle completes without a value, and that no other call follows.
    void expect_no(const Asked& asked) {
        if (!right()) return;
        handle_.reset();
        const int calls = asked->calls;
        until([&] { return asked->completed.load(); }, Rule::dropping_answers_nothing);
        if (right()) expect(!asked->response, Rule::dropping_answers_nothing);
        server_->finish();
        rest();
        expect(asked->calls == calls, Rule::reports_nothing_after_dropping);
    }
    /// Checks that the first of two answers may drop the request of the other.
    void dropping_another() {
        std::optional<Handle> handles[2];
        const auto seen = race(handles, [&](int first) noexcept { handles[1 - first].reset(); });
        expect(seen->responses == 1, Rule::dropping_answers_nothing);
        expect(seen->late_calls == 0, Rule::reports_nothing_after_dropping);
    }
    /// Checks that the first of two answers may end the client.
    void end_inside() {
        if constexpr (std::is_move_constructible_v<Http>) {
            std::optional<Handle> handles[2];
            const auto seen = race(handles, [&](int) noexcept {
                [[maybe_unused]] const Http ended = std::move(rig_->http);
            });
            expect(seen->responses == 0 && seen->late_calls == 0, Rule::end_answers_nothing);
        }
    }
    void end() {
        if constexpr (std::is_move_constructible_v<Http>) {
            const Asked silent = ask({.url = server_->url("/never")});
            std::optional<Handle> first = std::move(handle_);
            const Asked parts = ask_in_pieces({.url = server_->url("/parts")});
            until([&] { return parts->pieces == "one" && server_->seen("/never") == 1; },
                  Rule::pieces_come_as_they_are_sent);
            if (!right()) return;
            const int calls = parts->calls;
            { [[maybe_unused]] const Http ended = std::move(rig_->http); }
            until([&] { return silent->completed && parts->completed; }, Rule::end_answers_nothing);
            if (right()) expect(!silent->response && !parts->response, Rule::end_answers_nothing);
            server_->finish();
            rest();
            expect(parts->calls == calls, Rule::end_answers_nothing);
            first.reset();
            handle_.reset();
            rest();
        }
    }

    // ---- helpers --------------------------------------------------------------------------------

    Asked ask(HttpRequest request, Asked asked = std::make_shared<HttpAsked>()) {
        asked->target = request.url.substr(std::min(request.url.size(), server_->url("").size()));
        Completion<HttpResponse> done{[asked](std::optional<HttpResponse> response) noexcept {
            asked->response = std::move(response);
            asked->completed.store(true);
        }};
        handle_.emplace(rig_->http.request(std::move(request), std::move(done)));
        asked->inside = false;
        return asked;
    }
    /// Sends a request with an on_chunk. With `drops` it drops the handle at the first piece.
    Asked ask_in_pieces(HttpRequest request, bool drops = false) {
        const Asked asked = std::make_shared<HttpAsked>();
        request.on_chunk = [this, asked, drops, home = std::this_thread::get_id()](
                               const HttpResponse& head, std::string_view piece) noexcept {
            HttpAsked& a = *asked;
            a.in_turn = a.in_turn && !a.inside && home == std::this_thread::get_id();
            a.head_first = a.head_first && (a.calls++ > 0 || piece.empty()) && head.status == 200 &&
                           head.headers.find("X-Head") != nullptr;
            a.before_answer = a.before_answer && !a.completed;
            a.pieces += piece;
            if (piece.empty() || std::exchange(a.piece_came, true)) return;
            if (drops) handle_.reset();
        };
        return ask(std::move(request), asked);
    }
    /// The observed results of two requests.
    struct Race {
        std::optional<int> first;  ///< the request whose answer came first
        int late_calls = 0;        ///< calls of on_chunk of the other request
        std::atomic<int> completed{0};
        std::atomic<int> responses{0};
    };
    /// Sends two requests. A client that is busy with other work finds both answers at once. The
    /// first call of on_chunk calls `act(i)`.
    template <class Act>
    std::shared_ptr<Race> race(std::optional<Handle> (&handles)[2], Act act) {
        const auto seen = std::make_shared<Race>();
        for (int i = 0; i < 2; ++i) {
            HttpRequest request{.url = server_->url("/held")};
            request.on_chunk = [seen, i, act](const HttpResponse&, std::string_view) noexcept {
                if (seen->first) {
                    if (*seen->first != i) ++seen->late_calls;
                    return;
                }
                seen->first = i;
                act(i);
            };
            Completion<HttpResponse> done{[seen](std::optional<HttpResponse> response) noexcept {
                if (response) ++seen->responses;
                ++seen->completed;
            }};
            handles[i].emplace(rig_->http.request(std::move(request), std::move(done)));
        }
        until([&] { return server_->seen("/held") == 2; }, Rule::sends_what_was_asked);
        server_->finish();
        server_->step();
        std::this_thread::sleep_for(other_work);
        until([&] { return seen->completed == 2; }, Rule::dropping_answers_nothing);
        rest();
        return seen;
    }
    HttpResponse answer(HttpRequest request, Rule rule = Rule::answers) {
        if (!right()) return {};
        const Asked asked = ask(std::move(request));
        until([&] { return asked->completed.load(); }, rule);
        if (!right()) return {};
        expect(asked->response.has_value(), Rule::answers);
        if (!right()) return {};
        expect(asked->response->sent || server_->seen(asked->target) == 0, Rule::sent_is_reliable);
        return *asked->response;
    }
    HttpResponse get(std::string_view target) { return answer({.url = server_->url(target)}); }
    void expect_rejected(HttpRequest request, HttpErrc why, Rule rule) {
        const HttpResponse rejected = answer(std::move(request));
        expect(rejected.failure.error() == why && !rejected.sent && server_->log().empty(), rule);
    }

    [[nodiscard]] bool right() const noexcept { return !broken_; }
    void step() {
        server_->step();
        rig_->run_once();
    }
    void rest() {
        for (int i = 0; i < rounds_of_rest && right(); ++i) step();
    }
    template <class Done>
    void until(Done done, Rule rule) {
        for (int i = 0; i < rounds_max && right() && !done(); ++i) step();
        expect(done(), rule);
    }
    void expect(bool kept, Rule rule) noexcept {
        if (!kept && !broken_) broken_ = rule;
    }

    Make& make_;
    // Declared before the members that may call into it.
    std::optional<ScriptedHttpServer> server_;
    Pointer rig_{};
    std::optional<Handle> handle_;
    std::optional<Rule> broken_;
};

}}}  // namespace belay::posix::detail
