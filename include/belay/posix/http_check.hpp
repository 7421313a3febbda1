// SPDX-License-Identifier: MIT
/// \file belay/posix/http_check.hpp
/// check::http: checks that an HTTP client is correct. For tests of clients; posix.hpp does not
/// include it.
#pragma once

#include <algorithm>    // std::count_if
#include <atomic>       // std::atomic
#include <charconv>     // std::from_chars
#include <cstdint>      // std::uint8_t
#include <memory>       // std::shared_ptr, std::pointer_traits
#include <optional>     // std::optional
#include <string>       // std::string, std::to_string
#include <string_view>  // std::string_view
#include <thread>       // std::this_thread
#include <type_traits>  // std::remove_cvref_t
#include <utility>      // std::move, std::exchange
#include <vector>       // std::vector

#include <belay/core/assert.hpp>
#include <belay/core/detail/rule_check.hpp>
#include <belay/http/http_message.hpp>
#include <belay/posix/detail/socket.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace check {

/// The rules for an HTTP client that the compiler cannot check; see HttpLike and HttpRequest.
enum class HttpRule : std::uint8_t {
    answers,
    returns_the_response,
    sends_what_was_asked,
    rejects_other_urls,
    rejects_bad_text,
    part_is_no_response,
    sent_is_reliable,
    limit_holds,
    deadline_holds,
    sends_nothing_after_the_deadline,
    follows_only_if_asked,
    follows_three_at_most,
    follows_within_the_origin,
    pieces_arrive_on_the_home_thread,
    head_comes_first,
    pieces_are_the_body,
    pieces_come_as_they_are_sent,
    dropping_answers_nothing,
    reports_nothing_after_dropping,
    end_answers_nothing,
    response_belongs_to_its_request
};

/// Returns the rule as a sentence.
[[nodiscard]] constexpr const char* to_string(HttpRule rule) noexcept {
    constexpr const char* sentences[] = {
        "the client answers each request, even if no server listens",
        "the answer has the status, the headers and the decompressed body that the server sent, "
        "and is not a failure, whatever its status is",
        "the server receives the method, the target, the headers and the body of the request",
        "the client answers bad_url without sending, if a URL is not http or https, or contains "
        "credentials or spaces",
        "the client answers bad_text without sending, if a method or header would change the "
        "request",
        "a response that is cut short or malformed is a failure",
        "sent is false only if the server received nothing of the request",
        "a body longer than body_bytes_max after decompression is a failure; a body of that length "
        "is not",
        "a response that is incomplete at the deadline fails with Cause::timed_out, and no request "
        "times out before its deadline",
        "the client answers timed_out without sending, if the deadline is 0 or less",
        "the client follows a redirection only if the request allows it",
        "the client follows at most three redirections, and returns the next one as the response",
        "the client returns a redirection to another origin as the response",
        "the client calls on_chunk on its own thread, and never inside request()",
        "the first call of on_chunk has the status and the headers, and an empty piece",
        "the pieces together are the body; they arrive before the answer, whose body is empty",
        "the client calls on_chunk as soon as a piece arrives, and does not wait for the whole "
        "response",
        "the destructor of a handle ends its request without a response",
        "the client reports nothing after a handle was destroyed, even if on_chunk destroyed it",
        "the destructor of a client ends its requests without responses, and a handle may outlive "
        "the client",
        "a response that arrives on an idle connection is not the response to the next request"};
    return detail::sentence_of(rule, sentences);
}

}  // namespace check

namespace posix::detail {

/// A request that the server has read.
struct ScriptedRequest {
    std::string method;
    std::string target;
    HttpHeaders headers;
    std::string body;
};

/// A socket bound to a port of 127.0.0.1. It listens only after listen().
class ScriptedServerPort {
public:
    ScriptedServerPort() : socket_{Socket::stream(AF_INET)} {
        sockaddr_in here{};
        here.sin_family = AF_INET;
        here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        const bool bound =
            ::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&here), sizeof here) == 0;
        BELAY_PRECONDITION(bound, "check::http: 127.0.0.1 must have three free ports");
        port_ = SocketAddress::local(socket_).port();
    }
    void listen() const noexcept { static_cast<void>(::listen(socket_.get(), 64)); }
    void stop() noexcept { socket_.reset(); }
    /// Returns the next dialled connection; empty if there is none.
    [[nodiscard]] Socket accept() const noexcept {
        Socket client{::accept4(socket_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)};
        // All output arrives before the next step, whether the client has acknowledged or not.
        if (client) static_cast<void>(client.enable(IPPROTO_TCP, TCP_NODELAY));
        return client;
    }
    [[nodiscard]] std::string origin() const { return "http://" + place(); }
    [[nodiscard]] std::string place() const { return "127.0.0.1:" + std::to_string(port_); }

private:
    Socket socket_;
    std::uint16_t port_ = 0;
};

/// A server that never waits: step() does all that can be done now.   Thread safety: one thread.
class ScriptedHttpServer {
public:
    /// The length of the bodies of /large and /packed.
    static constexpr std::size_t large_bytes = 5000;

    ScriptedHttpServer() {
        near_.listen();
        far_.listen();
    }

    void step() {
        ++steps_;
        for (const ScriptedServerPort* const port : {&near_, &far_}) {
            while (Socket client = port->accept()) clients_.push_back({std::move(client)});
        }
        for (Client& client : clients_) serve(client);
        std::erase_if(clients_, [](const Client& g) { return !g.socket; });
    }

    [[nodiscard]] std::string url(std::string_view target) const {
        return near_.origin() + std::string{target};
    }
    /// Returns a URL at which nothing listens.
    [[nodiscard]] std::string dead_url() const { return dead_.origin() + "/"; }
    [[nodiscard]] std::string place() const { return near_.place(); }

    /// Returns how often a target was requested.
    [[nodiscard]] long seen(std::string_view target) const {
        return std::count_if(log_.begin(), log_.end(),
                             [&](const ScriptedRequest& r) { return r.target == target; });
    }
    [[nodiscard]] const std::vector<ScriptedRequest>& log() const noexcept { return log_; }
    /// Ends the response to each open /parts, and answers each /held.
    void finish() {
        for (Client& client : clients_) {
            if (std::exchange(client.held, false)) client.output += whole({.body = "held"});
            if (std::exchange(client.in_parts, false)) client.output += "3\r\ntwo\r\n0\r\n\r\n";
        }
    }
    /// Sends a response on each connection, although no request waits for one.
    void respond_unasked() {
        for (Client& client : clients_) client.output += whole({.body = "unasked"});
        step();
    }

private:
    struct Client {
        Socket socket;
        std::string input{};
        std::string output{};
        bool in_parts = false;
        bool held = false;
        bool drips = false;
        bool leaves = false;
    };

    void serve(Client& client) {
        char bytes[4096];
        for (ssize_t n = 0; (n = ::recv(client.socket.get(), bytes, sizeof bytes, 0)) >= 0;) {
            // A client keeps its half open while it waits, so this one is gone.
            if (n == 0) return client.socket.reset();
            client.input.append(bytes, static_cast<std::size_t>(n));
        }
        if (!would_block(errno) && errno != EINTR) return client.socket.reset();
        while (std::optional<ScriptedRequest> request = next(client.input)) {
            log_.push_back(*request);
            client.output += page(client, *request);
        }
        // Slower than a client that waits whenever it has nothing to read.
        if (client.drips && steps_ % 16 == 0) client.output += "1\r\nx\r\n";
        while (!client.output.empty()) {
            const ssize_t n = ::send(client.socket.get(), client.output.data(),
                                     client.output.size(), MSG_NOSIGNAL);
            if (n <= 0) break;
            client.output.erase(0, static_cast<std::size_t>(n));
        }
        if (client.leaves && client.output.empty()) client.socket.reset();
    }

    /// Takes one whole request off the front.
    static std::optional<ScriptedRequest> next(std::string& input) {
        const std::size_t end = input.find("\r\n\r\n");
        if (end == input.npos) return std::nullopt;
        std::string_view head{input.data(), end + 2};
        const auto line = [&] {
            const std::string_view text = head.substr(0, head.find("\r\n"));
            head.remove_prefix(text.size() + 2);
            return text;
        };
        ScriptedRequest request;
        const std::string_view first = line();
        const std::size_t space = first.find(' ');
        request.method = first.substr(0, space);
        if (space != first.npos) {
            request.target = first.substr(space + 1, first.rfind(' ') - space - 1);
        }
        while (!head.empty()) {
            const std::string_view field = line();
            const std::size_t colon = std::min(field.find(':'), field.size());
            const std::size_t value = field.find_first_not_of(": \t", colon);
            request.headers.add({std::string{field.substr(0, colon)},
                                 std::string{value == field.npos ? "" : field.substr(value)}});
        }
        std::size_t length = 0;
        if (const std::string* text = request.headers.find("Content-Length")) {
            std::from_chars(text->data(), text->data() + text->size(), length);
        }
        if (input.size() - (end + 4) < length) return std::nullopt;
        request.body = input.substr(end + 4, length);
        input.erase(0, end + 4 + length);
        return request;
    }

    struct Script {
        std::string_view status = "200 OK";
        std::string_view headers{};
        std::string_view body{};
    };
    static std::string whole(const Script& page) {
        std::string text = "HTTP/1.1 ";
        (text += page.status) += "\r\n";
        (text += page.headers) +=
            "Content-Length: " + std::to_string(page.body.size()) + "\r\n\r\n";
        return text += page.body;
    }
    static std::string moved(const std::string& location) {
        const std::string there = "Location: " + location + "\r\n";
        return whole({"302 Found", there, "moved"});
    }
    std::string page(Client& client, const ScriptedRequest& request) {
        // Five thousand times "x".
        constexpr std::string_view gzip{
            "\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xed\xc1\x31\x01\x00\x00\x00\xc2\xa0\xda\x8b"
            "\x6f\x0a\x3f\xa0\x00\x00\x00\x00\x80\xb7\x01\x26\xf0\xdb\x00\x88\x13\x00\x00",
            40};
        constexpr std::string_view chunked =
            "HTTP/1.1 200 OK\r\nX-Head: 1\r\nTransfer-Encoding: chunked\r\n\r\n";
        const std::string& target = request.target;
        const std::string large(large_bytes, 'x');
        client.leaves = client.leaves || target == "/half" || target == "/cut" ||
                        target == "/noise" || target == "/last";
        if (target == "/page") {
            return "HTTP/1.1 103 Early Hints\r\nx-early: 1\r\n\r\n" +
                   whole({.headers = "x-one: 1\r\nX-One:  2 \r\nX-Empty:\r\n", .body = "hello"});
        }
        if (target == "/busy") return whole({"503 Busy", "Retry-After: 7\r\n", "busy"});
        if (target == "/echo?a=%20b/../c") return whole({.body = request.body});
        if (target == "/half") return "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf";
        if (target == "/cut") return "";
        if (target == "/noise") return "SSH-2.0-OpenSSH_9.2\r\n";
        if (target == "/never") return "";
        if (target == "/held") return client.held = true, "";
        if (target == "/drips") return client.drips = true, std::string{chunked};
        if (target == "/parts") {
            client.in_parts = true;
            return std::string{chunked} + "3\r\none\r\n";
        }
        if (target == "/large") return whole({.body = large});
        if (target == "/packed") {
            const std::string* const takes = request.headers.find("Accept-Encoding");
            const bool packed = takes != nullptr && takes->find("gzip") != takes->npos;
            return packed ? whole({.headers = "Content-Encoding: gzip\r\n", .body = gzip})
                          : whole({.body = large});
        }
        return redirection(target);
    }
    std::string redirection(std::string_view target) {
        if (target == "/last") {
            near_.stop();
            return whole({"307 Moved", "Location: /page\r\nConnection: close\r\n"});
        }
        if (target == "/moved") return moved("/page");
        if (target == "/loop") return moved("/loop");
        if (target == "/away") return moved(far_.origin() + "/page");
        if (target == "/file") return moved("file:///etc/hostname");
        return whole({.status = "404 Not Found"});
    }

    ScriptedServerPort near_;
    ScriptedServerPort far_;
    ScriptedServerPort dead_;
    std::vector<Client> clients_;
    std::vector<ScriptedRequest> log_;
    std::uint64_t steps_ = 0;
};

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
class HttpChecker : public belay::detail::RuleCheck<check::HttpRule> {
    using Pointer = std::remove_cvref_t<decltype(std::declval<Make&>()())>;
    using Rig = typename std::pointer_traits<Pointer>::element_type;
    using Http = std::remove_cvref_t<decltype(std::declval<Rig&>().http)>;
    static_assert(explain::http_like<Http>());
    using Handle = belay::detail::HttpHandleOf<Http>;
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
        // The server has received the first request, and cannot be reached for the second.
        HttpRequest order{.url = server_->url("/last"), .method = "POST", .redirects = true};
        const HttpResponse last_of_all = answer(std::move(order));
        expect(!last_of_all.complete() && last_of_all.sent, Rule::sent_is_reliable);
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

    Make& make_;
    // Declared before the members that may call into it.
    std::optional<ScriptedHttpServer> server_;
    Pointer rig_{};
    std::optional<Handle> handle_;
};

}  // namespace posix::detail

namespace check {

/// Tests an HTTP client against the rules of HttpLike, and returns the first broken rule, if any.
///
///     struct Rig {
///         MyLoop loop;
///         Mine http{loop};
///         void run_once() { loop.poll(1ms); }
///     };
///     const auto broken = check::http([] { return std::make_unique<Rig>(); });
///     if (broken) std::puts(to_string(*broken));
///
/// `make()` returns a pointer to a new object with two members:
/// - `http`, an HttpLike that uses no proxy;
/// - `run_once()`, which lets the client do its pending work on this thread, and otherwise waits
///   for about a millisecond, not longer.
///
/// The check has its own server on free ports of 127.0.0.1, in plain HTTP/1.1. Some of its answers
/// are correct, others are faulty. The server runs between the calls of `run_once()`, so
/// `run_once()` must not wait for an answer. Features that only TLS and names have are not checked.
/// A client that can be moved is moved away, and destroyed before its handles.
///
/// Pre:    127.0.0.1 has three free ports.
/// Errors: the rule.   Throws: std::bad_alloc, and what the client and `make` throw.
/// Blocks: by `run_once()`: for about a second if everything is right, longer if the client stalls.
template <class Make>
[[nodiscard]] std::optional<HttpRule> http(Make make) {
    if constexpr (requires {
                      make()->http;
                      make()->run_once();
                  }) {
        return posix::detail::HttpChecker<Make>{make}.run();
    } else {
        static_assert(!sizeof(Make),
                      "check::http: make must be callable and return a pointer to an object with "
                      "'http' and 'run_once()': [] { return std::make_unique<Rig>(); }");
        return std::nullopt;
    }
}

}  // namespace check

}}  // namespace belay
