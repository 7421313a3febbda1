// SPDX-License-Identifier: MIT
/// \file belay/sync/http_exchange.hpp
/// HttpExchange: the exchange of a RemoteSyncServer over HTTP.
#pragma once

#include <optional>      // std::optional
#include <string>        // std::string
#include <system_error>  // std::error_code
#include <utility>       // std::move

#include <belay/core/assert.hpp>
#include <belay/core/bytes.hpp>
#include <belay/core/completion.hpp>
#include <belay/core/failure.hpp>
#include <belay/core/instant.hpp>
#include <belay/core/result.hpp>
#include <belay/http/http_message.hpp>
#include <belay/sync/remote_sync_server.hpp>
#include <belay/sync/sync_errc.hpp>

namespace belay { inline namespace BELAY_ABI { namespace part {

/// The server of an HttpExchange.
struct HttpExchangeOptions {
    /// The URL to which each question is posted, as in HttpRequest.
    std::string url{};
    /// The fields to add to each request, such as Authorization.
    HttpHeaders headers{};
    /// The maximum length of an answer.
    std::size_t answer_bytes_max = std::size_t{16} << 20U;
};

/// Posts each question as the body of a request, and runs the loop until the response is there.
///
///     part::RemoteSyncServer server{part::HttpExchange{http, loop, {.url = "https://..."}},
///                                   NoteCodec{}, {.session = "notes"}};
///
/// The server passes the body of the request to ReplicaServer::answer. The bytes of the answer are
/// the body of the response, with status 200.
///
/// `loop` has `attach(machine)` and `run_until(done, limit)`, as posix::Loop. `http` runs on it, or
/// answers on threads of its own.
///
/// Pre:           not called inside a turn of the loop.
/// Thread safety: the loop's thread.
template <HttpLike Http, class Loop>
class HttpExchange {
public:
    /// Pre: options.url is not empty, and options.answer_bytes_max > 0.
    HttpExchange(Http& http, Loop& loop, HttpExchangeOptions options)
        : http_{&http}, loop_{&loop}, options_{std::move(options)} {
        BELAY_OPTION(!options_.url.empty() && options_.answer_bytes_max > 0,
                     "HttpExchangeOptions: set url, and answer_bytes_max above 0");
    }

    /// Errors: the code of http_failure(response), for each status except 200 to 299; unanswered.
    [[nodiscard]] Result<Bytes> operator()(Bytes question, Duration within) {
        Waiting waiting;
        loop_->attach(waiting);
        HttpRequest request{.url = options_.url,
                            .method = "POST",
                            .headers = options_.headers,
                            .body = std::string{as_text(question)},
                            .deadline = within,
                            .body_bytes_max = options_.answer_bytes_max};
        if (request.headers.find("Content-Type") == nullptr) {
            request.headers.add({"Content-Type", "application/octet-stream"});
        }
        const auto handle = http_->request(std::move(request), waiting.answer.ask());
        const bool ended = detail::wait_for_exchange(*loop_, within, [&] { return waiting.ended; });
        if (!ended || !waiting.response) return make_error_code(SyncErrc::unanswered);
        const HttpResponse* const response = &*waiting.response;
        const Failure failure = http_failure(*response);
        if (failure.cause == Cause::none) return to_bytes(as_bytes(response->body));
        const std::error_code error = failure.error();
        return error ? error : make_error_code(SyncErrc::unanswered);
    }

private:
    /// Wakes the loop when the response is there.
    struct Waiting {
        void attach(Waker own) {
            waker.emplace(std::move(own));
            answer.attach(*waker);
        }
        [[nodiscard]] Instant deadline() const noexcept { return answer.deadline(); }
        void advance(Instant) {
            if (!answer.answered()) return;
            response = answer.take();
            ended = true;
        }
        std::optional<Waker> waker{};
        driver::Question<HttpResponse> answer{};
        std::optional<HttpResponse> response{};
        bool ended = false;
    };

    Http* http_;
    Loop* loop_;
    HttpExchangeOptions options_;
};

template <class Http, class Loop>
HttpExchange(Http&, Loop&, HttpExchangeOptions) -> HttpExchange<Http, Loop>;

}}}  // namespace belay::part
