// SPDX-License-Identifier: MIT
/// \file tests/support/posix/broken_http.hpp
/// BrokenHttp: a small HTTP client with one planted mistake, or none, for the test of
/// check::http.
#pragma once

#include <charconv>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <belay/core/clocks.hpp>
#include <belay/http/http_message.hpp>
#include <belay/posix/detail/socket.hpp>

namespace belay_test {

enum class HttpMistake {
    none,
    ignores_failed_connections,
    fails_by_status,
    takes_an_early_head,
    leaves_it_packed,
    mixes_up_headers,
    forgets_headers,
    cuts_the_body,
    guesses_the_scheme,
    guesses_the_slashes,
    hides_credentials,
    smuggles,
    takes_half,
    denies_what_was_sent,
    forgets_the_first_request,
    ignores_the_limit,
    limits_too_early,
    ignores_the_deadline,
    takes_zero_for_no_limit,
    asks_after_the_deadline,
    measures_each_piece,
    is_impatient,
    follows_unasked,
    never_follows,
    follows_for_ever,
    follows_anywhere,
    calls_inside_of_request,
    skips_the_head,
    keeps_the_body,
    reports_at_the_end,
    drops_in_silence,
    answers_dropped_requests,
    reports_the_dropping_client,
    reports_to_the_dropped_neighbour,
    ends_in_silence,
    reports_as_it_ends,
    reads_what_came_before
};

/// All work is done in step(). One call is one millisecond of its clock.
template <HttpMistake mistake>
class BrokenHttp {
    using M = HttpMistake;
    static constexpr bool is(M m) noexcept { return mistake == m; }

    struct Transfer {
        belay::HttpRequest request;
        std::optional<belay::Completion<belay::HttpResponse>> done;
        belay::posix::detail::Socket socket{};
        std::string input{};
        std::string output{};
        std::string undelivered{};
        belay::HttpResponse response{};
        belay::Instant due = belay::never;
        std::size_t taken = 0;
        int hops = 0;
        bool has_head = false;
        bool gone = false;
        bool late = false;  ///< it is reported in the rest of the step

        void answer(const belay::Failure& failure, bool sent = true) {
            response.failure = failure;
            response.sent = sent;
            socket.reset();
            if (auto last = std::exchange(done, std::nullopt)) (*last)(std::move(response));
        }
        void drop() {
            gone = true;
            late = is(M::reports_to_the_dropped_neighbour);
            if (is(M::answers_dropped_requests)) answer(belay::Failure{belay::Cause::lost});
            if (!is(M::drops_in_silence)) done.reset();
        }
        [[nodiscard]] bool over() const {
            return !done && !(is(M::reports_the_dropping_client) && gone && socket) &&
                   !(late && socket);
        }
    };
    using Ptr = std::shared_ptr<Transfer>;

public:
    class Handle {
    public:
        explicit Handle(Ptr transfer) : transfer_{std::move(transfer)} {}
        Handle(Handle&&) noexcept = default;
        ~Handle() {
            if (transfer_) transfer_->drop();
        }

    private:
        Ptr transfer_;
    };

    BrokenHttp() = default;
    BrokenHttp(BrokenHttp&&) noexcept = default;
    ~BrokenHttp() {
        if (is(M::ends_in_silence)) return;
        for (const Ptr& t : transfers_) {
            t->late = is(M::reports_as_it_ends);
            t->done.reset();
        }
    }

    Handle request(belay::HttpRequest request, belay::Completion<belay::HttpResponse> done) {
        const auto t = std::make_shared<Transfer>(Transfer{std::move(request), std::move(done)});
        belay::HttpRequest& asked = t->request;
        belay::Duration patience = asked.deadline;
        if (is(M::is_impatient)) patience = std::chrono::milliseconds{10};
        const bool passed = patience <= belay::Duration::zero();
        if (passed && is(M::takes_zero_for_no_limit)) patience = belay::forever;
        if (passed && is(M::asks_after_the_deadline)) patience = std::chrono::seconds{1};
        if (patience < belay::Duration::zero()) patience = {};
        if (!is(M::ignores_the_deadline)) t->due = belay::after(now_, patience);
        if (is(M::calls_inside_of_request) && asked.on_chunk) asked.on_chunk(t->response, "");
        if (is(M::guesses_the_scheme) && asked.url.starts_with("127.")) {
            asked.url.insert(0, "http://");
        }
        if (is(M::guesses_the_slashes) && asked.url.starts_with("http:/")) {
            asked.url = "http://" + asked.url.substr(asked.url.find_first_not_of('/', 5));
        }
        if (const std::size_t at = asked.url.find('@'); is(M::hides_credentials) && at < 100) {
            asked.url = "http://" + asked.url.substr(at + 1);
        }
        if (!is_url(asked.url)) {
            t->answer(belay::Failure::from(belay::HttpErrc::bad_url), false);
        } else if (!is(M::smuggles) && !is_text(asked)) {
            t->answer(belay::Failure::from(belay::HttpErrc::bad_text), false);
        } else if (patience <= belay::Duration::zero()) {
            t->answer(belay::Failure::from(belay::HttpErrc::timed_out), false);
        } else {
            transfers_.push_back(t);
        }
        return Handle{t};
    }

    void step() {
        now_ = belay::after(now_, std::chrono::milliseconds{1});
        const std::vector<Ptr> all = transfers_;
        for (const Ptr& t : all) t->late = false;
        for (const Ptr& t : all) run(*t);
        std::erase_if(transfers_, [](const Ptr& t) { return t->over(); });
    }

private:
    static bool is_url(const std::string& url) {
        const std::string place = url.starts_with("http://") ? url.substr(7) : "";
        return !place.empty() && !place.starts_with('/') &&
               place.find_first_of("@ \r\n") == place.npos;
    }
    static bool is_text(const belay::HttpRequest& request) {
        if (!belay::detail::is_header_name(request.method)) return false;
        for (const auto& [name, value] : request.headers) {
            if (!belay::detail::is_header_name(name) || !belay::detail::is_header_value(value) ||
                belay::detail::is_same_name(name, "Content-Length") ||
                belay::detail::is_same_name(name, "Transfer-Encoding"))
                return false;
        }
        return true;
    }

    void run(Transfer& t) {
        if (t.over() || (t.gone && !t.late && !is(M::reports_the_dropping_client))) return;
        if (now_ >= t.due) return t.answer(belay::Failure::from(belay::HttpErrc::timed_out));
        if (!t.socket) return begin(t);
        if (!t.output.empty()) send(t);
        receive(t);
    }
    static std::string origin_of(const std::string& url) { return url.substr(0, url.find('/', 7)); }
    void begin(Transfer& t) {
        const std::string& url = t.request.url;
        const std::string host = origin_of(url).substr(7);
        sockaddr_in there{};
        there.sin_family = AF_INET;
        there.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        std::uint16_t port = 0;
        std::from_chars(host.data() + host.find(':') + 1, host.data() + host.size(), port);
        there.sin_port = htons(port);
        sockaddr_storage address{};
        std::memcpy(&address, &there, sizeof there);
        if (kept_host_ == host) {
            t.socket = std::move(kept_);
            kept_host_.clear();
        } else {
            t.socket = belay::posix::detail::Socket::stream(AF_INET);
            static_cast<void>(
                ::connect(t.socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof there));
        }
        const std::string target = url.size() > host.size() + 7 ? url.substr(host.size() + 7) : "/";
        std::string body = t.request.body;
        if (is(M::cuts_the_body)) body = body.substr(0, body.find('\0'));
        t.output = t.request.method + " " + target + " HTTP/1.1\r\nHost: " + host + "\r\n";
        if (is(M::leaves_it_packed)) t.output += "Accept-Encoding: gzip\r\n";
        for (const auto& [name, value] : t.request.headers) {
            if (!is(M::forgets_headers)) t.output += name + ": " + value + "\r\n";
        }
        t.output += "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
    }
    void send(Transfer& t) {
        const ssize_t n = ::send(t.socket.get(), t.output.data(), t.output.size(), MSG_NOSIGNAL);
        if (n > 0) t.output.erase(0, static_cast<std::size_t>(n));
        if (n >= 0 || belay::posix::detail::would_block(errno)) return;
        if (!is(M::ignores_failed_connections)) {
            const bool sent = t.hops != 0 && !is(M::forgets_the_first_request);
            t.answer(belay::Failure::from(belay::HttpErrc::not_connected), sent);
        } else {
            t.output.clear();
        }
    }
    void receive(Transfer& t) {
        char bytes[4096];
        ssize_t n = 0;
        while (!t.over() && (n = ::recv(t.socket.get(), bytes, sizeof bytes, 0)) > 0) {
            if (is(M::measures_each_piece)) t.due = belay::after(now_, t.request.deadline);
            t.input.append(bytes, static_cast<std::size_t>(n));
            read(t);
            if (!t.socket) return;  // reported elsewhere, or answered
        }
        if (t.over() || (n < 0 && !is_over(n))) return;
        if (is(M::ignores_failed_connections) && t.input.empty()) return;
        if (is(M::takes_half) && t.has_head) return t.answer({});
        t.answer(belay::Failure::from(belay::HttpErrc::lost), !is(M::denies_what_was_sent));
    }
    static bool is_over(ssize_t n) {
        return n == 0 || (!belay::posix::detail::would_block(errno) && errno != ENOTCONN);
    }

    void read(Transfer& t) {
        while (!t.has_head && !t.over()) {
            const std::size_t end = t.input.find("\r\n\r\n");
            if (end == t.input.npos) return;
            if (!t.input.starts_with("HTTP/")) {
                return t.answer(belay::Failure::from(belay::HttpErrc::not_http));
            }
            std::string head = t.input.substr(0, end + 2);
            t.input.erase(0, end + 4);
            take_head(t, std::move(head));
        }
        if (t.over()) return;
        const bool chunked = t.response.headers.find("Transfer-Encoding") != nullptr;
        if (chunked ? take_chunks(t) : take_length(t)) end(t);
    }
    void take_head(Transfer& t, std::string head) {
        t.response = {};
        std::from_chars(head.data() + 9, head.data() + 12, t.response.status);
        if (t.response.status < 200 && !is(M::takes_an_early_head)) return;
        head.erase(0, head.find("\r\n") + 2);
        while (!head.empty()) {
            const std::string line = head.substr(0, head.find("\r\n"));
            head.erase(0, line.size() + 2);
            const std::size_t colon = line.find(':');
            std::string value = line.substr(colon + 1);
            value.erase(0, std::min(value.find_first_not_of(' '), value.size()));
            value.erase(value.find_last_not_of(' ') + 1);
            if (is(M::mixes_up_headers)) {
                t.response.headers.set({line.substr(0, colon), value});
            } else {
                t.response.headers.add({line.substr(0, colon), value});
            }
        }
        t.has_head = true;
        if (leads_on(t)) return;
        const bool reports_head = !is(M::skips_the_head) && !is(M::reports_at_the_end);
        if (t.request.on_chunk && reports_head) t.request.on_chunk(t.response, "");
    }
    /// A followed redirection is a new request.
    bool leads_on(Transfer& t) {
        const bool asked = t.request.redirects || is(M::follows_unasked);
        const std::string* to = t.response.headers.find("Location");
        if (is(M::never_follows) || !asked || to == nullptr) return false;
        const std::string next = to->starts_with("/") ? origin_of(t.request.url) + *to : *to;
        const bool near = origin_of(next) == origin_of(t.request.url);
        if (!near && !(is(M::follows_anywhere) && is_url(next))) return false;
        if (t.hops++ >= (is(M::follows_for_ever) ? 10 : 3)) return false;
        t.request.url = next;
        t.response = {};
        t.has_head = false;
        t.input.clear();
        t.socket.reset();
        return true;
    }
    bool take_chunks(Transfer& t) {
        for (;;) {
            const std::size_t line = t.input.find("\r\n");
            if (line == t.input.npos) return false;
            std::size_t size = 0;
            std::from_chars(t.input.data(), t.input.data() + line, size, 16);
            if (size == 0) return true;
            if (t.input.size() < line + 4 + size) return false;
            const std::string piece = t.input.substr(line + 2, size);
            t.input.erase(0, line + 4 + size);
            take(t, piece);
            if (t.over()) return false;
        }
    }
    bool take_length(Transfer& t) {
        const std::string* const text = t.response.headers.find("Content-Length");
        std::size_t length = 0;
        if (text) std::from_chars(text->data(), text->data() + text->size(), length);
        take(t, std::exchange(t.input, {}));
        return !t.over() && t.taken >= length;
    }
    void take(Transfer& t, const std::string& piece) {
        if (piece.empty()) return;
        t.taken += piece.size();
        const std::size_t limit = t.request.body_bytes_max - (is(M::limits_too_early) ? 1 : 0);
        if (t.taken > limit && !is(M::ignores_the_limit)) {
            return t.answer(belay::Failure::from(belay::HttpErrc::too_long));
        }
        if (!t.request.on_chunk || is(M::keeps_the_body)) t.response.body += piece;
        if (!t.request.on_chunk) return;
        if (is(M::reports_at_the_end)) {
            t.undelivered += piece;
        } else {
            t.request.on_chunk(t.response, piece);
        }
    }
    void end(Transfer& t) {
        if (is(M::reports_at_the_end) && t.request.on_chunk) {
            t.request.on_chunk(t.response, "");
            t.request.on_chunk(t.response, t.undelivered);
        }
        if (t.gone) return t.socket.reset();
        if (is(M::reads_what_came_before)) {
            kept_ = std::move(t.socket);
            kept_host_ = origin_of(t.request.url).substr(7);
        }
        const bool refused = is(M::fails_by_status) && t.response.status >= 500;
        t.answer(refused ? belay::http_failure(t.response.status) : belay::Failure{});
    }

    belay::Instant now_{};
    std::vector<Ptr> transfers_;
    belay::posix::detail::Socket kept_{};
    std::string kept_host_{};
};

template <HttpMistake mistake>
struct BrokenHttpRig {
    BrokenHttp<mistake> http{};
    void run_once() { http.step(); }
};

}  // namespace belay_test
