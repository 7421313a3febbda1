// SPDX-License-Identifier: MIT
/// \file belay/link/with_token.hpp
/// WithToken: gets fresh credentials before every attempt, and opens the connection with them.
#pragma once

#include <cstdint>   // std::uint32_t
#include <optional>  // std::optional
#include <tuple>     // std::tuple, std::apply
#include <utility>   // std::move, std::forward

#include <belay/core/completion.hpp>
#include <belay/core/http_failure.hpp>
#include <belay/link/detail/link_wake.hpp>
#include <belay/link/link_errc.hpp>
#include <belay/link/part.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {

template <class Source>
concept HasTokenType = requires { typename Source::token_type; };
template <class Source>
concept AnswersTokens =
    HasTokenType<Source> &&
    requires(Source& source, Completion<typename Source::token_type> completion) {
        { source(std::move(completion)) } -> std::same_as<void>;
    };

}  // namespace detail

/// A transport that gets a token from a source at each attempt.
///
/// It opens the transport inside with `open(link, token)`. The token is opaque: a JSON web token, a
/// role, a signed URL.
///
/// `source(Completion)` may answer at once, later, or from another thread; the attempt's limit runs
/// meanwhile. If the source drops the completion, the answer is "no" and the attempt has failed. A
/// token is never kept, so one that expires during a long outage is requested again.
///
/// Models:        TransportLike.
/// Thread safety: as the transport inside; the source is called on the home thread.
template <class Transport, class Source>
class WithToken : public part::Around<Transport> {
    static_assert(detail::HasTokenType<Source>,
                  "WithToken: the source of tokens needs a 'token_type'");
    using Token = typename Source::token_type;

public:
    using message_type = typename Transport::message_type;
    static_assert(
        detail::AnswersTokens<Source>,
        "WithToken: the source of tokens needs 'void operator()(Completion<token_type>)'");

    /// A connection that is opened when the token has arrived; `A` are the types that a surrounding
    /// Endpoints passes on.   Models: ConnectionLike.
    template <class... A>
    class Connection {
        static_assert(sizeof...(A) != 0 || detail::OpensWith<Transport, Token>,
                      "WithToken: the transport needs 'open(Link<message_type>, const "
                      "token_type&)'");
        static_assert(sizeof...(A) == 0 || detail::OpensWith<Transport, A..., Token>,
                      "WithToken: the transport needs 'open(Link<message_type>, const Endpoint&, "
                      "const token_type&)'");
        using Inner = decltype(std::declval<Transport&>().open(
            std::declval<const Link<message_type>&>(), std::declval<const A&>()...,
            std::declval<const Token&>()));

    public:
        Connection(WithToken& owner, const Link<message_type>& own, const A&... rest)
            : owner_{owner}, own_{own}, rest_{rest...} {
            owner.source_(token_.ask(detail::LinkWake<message_type>{own}));
        }
        Connection(const Connection&) = delete;
        Connection& operator=(const Connection&) = delete;

        [[nodiscard]] SendResult send(Lane lane, const message_type& message) noexcept {
            Inner* const c = inner_.get();
            return c != nullptr ? part::send<message_type>(*c, lane, message) : SendResult::down;
        }
        void close(const Failure& why) noexcept
            requires detail::HasClose<Inner>
        {
            if (Inner* const c = inner_.get()) {
                c->close(why);
            } else {
                token_.drop();
                own_.closed(why);
            }
        }
        void ping() noexcept
            requires detail::HasPing<Inner>
        {
            if (Inner* const c = inner_.get()) c->ping();
        }
        void probe(Turn& turn, Duration within) noexcept
            requires detail::HasProbe<Inner>
        {
            if (Inner* const c = inner_.get()) c->probe(turn, within);
        }
        void resume_reading() noexcept
            requires detail::HasResumeReading<Inner>
        {
            if (Inner* const c = inner_.get()) c->resume_reading();
        }
        /// Limits messages, also of the connection that is opened later.
        void limit_messages(std::size_t bytes) noexcept
            requires detail::HasLimitMessages<Inner>
        {
            message_bytes_max_ = bytes;
            if (Inner* const c = inner_.get()) c->limit_messages(bytes);
        }
        /// Limits output, also of the connection that is opened later.
        void limit_output(std::size_t bytes) noexcept
            requires detail::HasLimitOutput<Inner>
        {
            output_bytes_max_ = bytes;
            if (Inner* const c = inner_.get()) c->limit_output(bytes);
        }
        [[nodiscard]] bool sift(part::Event<message_type>& event, Turn& turn) {
            if (event.depth != 0) {
                Inner* const c = inner_.get();
                if (c == nullptr || !part::rise<message_type>(*c, event, turn)) return false;
            }
            owner_.check_forbidden(event);
            return true;
        }
        [[nodiscard]] Instant deadline() const noexcept {
            const Inner* const c = inner_.get();
            return c != nullptr ? part::deadline(*c) : token_.deadline();
        }
        void advance(Turn& turn) {
            if (Inner* const c = inner_.get()) return part::advance(*c, turn);
            if (token_.answered()) open_inner(token_.take());
        }

    private:
        void open_inner(const std::optional<Token>& token) {
            if (!token) {
                own_.closed(failure_of(LinkErrc::no_token));
                return;
            }
            Inner& inner = detail::open_connection(own_, inner_, [&] {
                return std::apply(
                    [&](const A&... rest) {
                        return owner_.inner_.open(own_.child(), rest..., *token);
                    },
                    rest_);
            });
            part::limit_messages(inner, message_bytes_max_);
            part::limit_output(inner, output_bytes_max_);
        }

        WithToken& owner_;
        Link<message_type> own_;
        std::tuple<A...> rest_;
        std::size_t message_bytes_max_ = ~std::size_t{0};
        std::size_t output_bytes_max_ = ~std::size_t{0};
        detail::AskingByLink<Token, message_type> token_;
        part::Slot<Inner> inner_;
    };

    WithToken(Transport transport, Source source)
        : part::Around<Transport>{std::move(transport)}, source_{std::move(source)} {}

    /// Opens a connection. `rest` is what a surrounding Endpoints passes on; the token comes after
    /// it.
    template <class... A>
    [[nodiscard]] Connection<A...> open(const Link<message_type>& link, const A&... rest) {
        begin_attempt(link);
        return {*this, link, rest...};
    }

    /// Passes new credentials to the source; Supervisor::credentials(values...) ends here.
    template <class... A>
        requires requires(Source& s, A&&... a) { s.credentials(std::forward<A>(a)...); }
    void credentials(A&&... values) {
        source_.credentials(std::forward<A>(values)...);
    }
    /// Returns the source of tokens.
    [[nodiscard]] Source& source() noexcept { return source_; }

private:
    /// An attempt whose end is not known has timed out, for example, and was no 403. One that was
    /// withdrawn shows nothing about the token.
    void begin_attempt(const Link<message_type>& link) noexcept {
        const std::uint32_t excused = link.published().excused_attempts;
        const bool is_excused = std::exchange(excused_, excused) != excused;
        if (std::exchange(end_is_unknown_, true) && !is_excused) forbidden_ = 0;
    }
    /// Blames the token for a second 403 in a row, because the token was fresh.
    void check_forbidden(part::Event<message_type>& event) noexcept {
        const bool ended = event.kind == part::EventKind::closed;
        if (ended) end_is_unknown_ = false;
        const bool forbidden =
            ended && event.failure.code == 403 && event.failure.category == &http_category();
        if (forbidden && ++forbidden_ >= 2) event.failure.cause = Cause::unauthorized;
        const bool failed_otherwise = ended && !forbidden && !event.withdrawn;
        if (event.kind == part::EventKind::opened || failed_otherwise || forbidden_ >= 2) {
            forbidden_ = 0;
        }
    }

    Source source_;
    int forbidden_ = 0;          // 403s since the last connection, or the last other failure
    std::uint32_t excused_ = 0;  // the supervisor's count of excused attempts, at the last attempt
    bool end_is_unknown_ = false;  // of the last attempt
};

template <class Transport, class Source>
WithToken(Transport, Source) -> WithToken<Transport, Source>;

}}  // namespace belay
