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
#include <belay/link/detail/wrapped_later.hpp>
#include <belay/link/link_errc.hpp>

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
/// `source(Completion)` may answer at once, later, or from another thread. The attempt's limit
/// bounds this wait, and begins anew when the token is there. If the source drops the completion,
/// the answer is "no" and the attempt has failed. Both are failures of this side. A token is never
/// kept, so one that expires during a long outage is requested again. A source that keeps one
/// forgets it in `credentials()`, which Supervisor::credentials() calls.
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

private:
    template <class... A>
    struct Opened {
        static_assert(sizeof...(A) != 0 || detail::OpensWith<Transport, Token>,
                      "WithToken: the transport needs 'open(Link<message_type>, const "
                      "token_type&)'");
        static_assert(sizeof...(A) == 0 || detail::OpensWith<Transport, A..., Token>,
                      "WithToken: the transport needs 'open(Link<message_type>, const Endpoint&, "
                      "const token_type&)'");
        using Inner = decltype(std::declval<Transport&>().open(
            std::declval<const Link<message_type>&>(), std::declval<const A&>()...,
            std::declval<const Token&>()));
        using Base = detail::WrappedLater<Inner, message_type>;
    };

public:
    /// A connection that is opened when the token has arrived; `A` are the types that a surrounding
    /// Endpoints passes on.   Models: ConnectionLike.
    template <class... A>
    class Connection : public Opened<A...>::Base {
        using Inner = typename Opened<A...>::Inner;
        using Base = typename Opened<A...>::Base;
        using Base::inner_, Base::own_;

    public:
        Connection(WithToken& owner, const Link<message_type>& own, const A&... rest)
            : Base{own}, owner_{owner}, rest_{rest...} {
            owner.source_(token_.ask(detail::LinkWake<message_type>{own}));
            has_waited_ = !token_.answered();
            if (has_waited_) own_.queued(false);
        }
        /// Destroys the connection inside first, because that may refer to what it was opened with.
        ~Connection() { inner_.reset(); }

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
        [[nodiscard]] bool sift(part::Event<message_type>& event, Turn& turn) {
            if (event.depth != 0 && !this->rise(event, turn)) return false;
            owner_.check_forbidden(event);
            return true;
        }
        [[nodiscard]] Instant deadline() const noexcept {
            const Inner* const c = inner_.get();
            return c != nullptr ? part::deadline(*c) : token_.deadline();
        }
        void advance(Turn& turn) {
            if (Inner* const c = inner_.get()) return part::advance(*c, turn);
            if (token_.answered()) open_with(token_.take());
        }

    private:
        void open_with(const std::optional<Token>& token) {
            if (!token) {
                own_.closed(failure_of(LinkErrc::no_token));
                return;
            }
            // A slow source is no fault of the peer, which gets the whole limit.
            if (has_waited_) own_.begun();
            Base::open_inner([&] {
                return std::apply(
                    [&](const A&... rest) {
                        return owner_.inner_.open(own_.child(), rest..., *token);
                    },
                    rest_);
            });
        }

        WithToken& owner_;
        std::tuple<A...> rest_;
        detail::Asking<Token, detail::LinkWake<message_type>> token_;
        bool has_waited_ = false;
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

}}  // namespace belay
