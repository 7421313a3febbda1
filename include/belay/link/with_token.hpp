// SPDX-License-Identifier: MIT
/// \file belay/link/with_token.hpp
/// WithToken: asks for fresh credentials before every attempt, and opens the connection with them.
#pragma once

#include <optional>  // std::optional
#include <utility>   // std::move, std::forward

#include <belay/core/http_failure.hpp>
#include <belay/link/completion.hpp>
#include <belay/link/link_errc.hpp>
#include <belay/link/part.hpp>

namespace belay::inline BELAY_ABI {

namespace detail {
template <class Transport, class Token>
concept OpensWithToken = HasMessageType<Transport> &&
                         requires(Transport& t, const Link<typename Transport::message_type>& link,
                                  const Token& token) { t.open(link, token); };
template <class Source>
concept HasTokenType = requires { typename Source::token_type; };
template <class Source, class M>
concept AnswersTokens =
    HasTokenType<Source> &&
    requires(Source& source, Completion<typename Source::token_type, M> completion) {
        source(std::move(completion));
    };
}  // namespace detail

/// A transport that asks a source for a token (a JSON web token, a role, a signed URL: it is
/// opaque) at each attempt, and opens the transport inside with `open(link, token)`.
///
/// `source(Completion)` may answer at once, later, or from another thread; the attempt's limit runs
/// meanwhile. Answered `no` (the completion was dropped) the attempt has failed. A token is never
/// kept: one that expires during a long outage is asked for again.
///
/// Models:        TransportLike.
/// Thread safety: as the transport inside; the source is called on the home thread.
template <class Transport, class Source>
class WithToken : public part::Around<Transport> {
    static_assert(detail::HasTokenType<Source>, "WithToken: the source needs 'token_type'");
    using Token = typename Source::token_type;
    static_assert(detail::OpensWithToken<Transport, Token>,
                  "WithToken: the transport needs 'open(Link<message_type>, const token_type&)'");

public:
    using message_type = typename Transport::message_type;
    static_assert(detail::AnswersTokens<Source, message_type>,
                  "WithToken: the source needs 'void operator()(auto completion)', which takes "
                  "Completion<token_type, message_type>");

    class Connection {
        using Inner = decltype(std::declval<Transport&>().open(
            std::declval<const Link<message_type>&>(), std::declval<const Token&>()));

    public:
        Connection(WithToken& owner, const Link<message_type>& own)
            : owner_{owner}, own_{own}, answer_{detail::Ref<detail::Answer<Token>>::make()} {
            owner.source_(Completion<Token, message_type>{answer_, own});
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
        [[nodiscard]] bool sift(part::Event<message_type>& event, Turn& turn) {
            if (event.depth == 0) return event.kind == part::EventKind::note ? answered() : true;
            Inner* const c = inner_.get();
            if (c == nullptr || !part::rise<message_type>(*c, event, turn)) return false;
            owner_.judge(event);
            return true;
        }
        [[nodiscard]] Instant deadline() const noexcept {
            const Inner* const c = inner_.get();
            return c != nullptr ? part::deadline(*c) : never;
        }
        void advance(Turn& turn) {
            if (Inner* const c = inner_.get()) part::advance(*c, turn);
        }

    private:
        /// Returns: false, since the note was for this part.
        bool answered() {
            std::optional<Token> token;
            {
                const detail::SpinLock lock{answer_->mutex};
                token = std::move(answer_->value);
                answer_->value.reset();
            }
            if (!token) {
                own_.closed(failure_of(LinkErrc::token_refused));
            } else if (inner_.get() == nullptr) {
                // An attempt whose open() throws ends like any other.
                struct Unwind {
                    const Link<message_type>& link;
                    bool armed = true;
                    ~Unwind() {
                        if (armed) link.closed(failure_of(LinkErrc::open_threw));
                    }
                } unwind{own_};
                inner_.emplace_from([&] { return owner_.inner_.open(own_.child(), *token); });
                unwind.armed = false;
            }
            return false;
        }

        WithToken& owner_;
        Link<message_type> own_;
        detail::Ref<detail::Answer<Token>> answer_;
        part::Slot<Inner> inner_;
    };

    WithToken(Transport transport, Source source)
        : part::Around<Transport>{std::move(transport)}, source_{std::move(source)} {}

    [[nodiscard]] Connection open(const Link<message_type>& link) {
        return Connection{*this, link};
    }

    /// New credentials, on their way to the source: Supervisor::credentials(values...) ends here.
    template <class... A>
        requires requires(Source& s, A&&... a) { s.credentials(std::forward<A>(a)...); }
    void credentials(A&&... values) {
        source_.credentials(std::forward<A>(values)...);
    }
    [[nodiscard]] Source& source() noexcept { return source_; }

private:
    /// A 403 that comes again, although the token was fresh, is about the token.
    void judge(part::Event<message_type>& event) noexcept {
        const bool forbidden = event.kind == part::EventKind::closed && event.failure.code == 403 &&
                               event.failure.category == &http_category();
        if (forbidden && ++forbidden_ >= 2) event.failure.cause = Cause::unauthorized;
        if (event.kind == part::EventKind::opened || forbidden_ >= 2) forbidden_ = 0;
    }

    Source source_;
    int forbidden_ = 0;  // 403s since the last connection
};

template <class Transport, class Source>
WithToken(Transport, Source) -> WithToken<Transport, Source>;

}  // namespace belay::inline BELAY_ABI
