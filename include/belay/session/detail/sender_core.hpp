// SPDX-License-Identifier: MIT
/// \file belay/session/detail/sender_core.hpp
/// SenderCore: the state and the frames of a sender, over any number of connections. StateLoss: the
/// loss of state on either side that a WELCOME reveals.
#pragma once

#include <utility>  // std::move

#include <belay/core/order.hpp>
#include <belay/journal/log_like.hpp>
#include <belay/queue/queue_errc.hpp>
#include <belay/session/session_format.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The sender's state, which is compared with the receiver's.
struct SenderFacts {
    std::uint64_t acked = 0;
    std::uint64_t durable = 0;
    Id pinned_store{};
};

/// Why a session must not continue, and the error that reports it.
struct StateLoss {
    Blocked blocked = Blocked::none;
    SessionErrc error{};
};

/// Compares the numbers. If they agree, the checks at `w.applied` must agree too.
/// Source: docs/reference/formats/session-protocol.md, section 5.1.
[[nodiscard]] constexpr StateLoss detect_state_loss(const SenderFacts& mine,
                                                    const session_format::Welcome& w) noexcept {
    if (mine.pinned_store != no_id && (mine.pinned_store != w.store || !w.known)) {
        return {Blocked::receiver_lost_state, SessionErrc::store_changed};
    }
    if (!w.known) return {};
    if (w.applied < mine.acked) {
        return {Blocked::receiver_rolled_back, SessionErrc::receiver_rolled_back};
    }
    if (w.applied > mine.durable) {
        return {Blocked::sender_rolled_back, SessionErrc::sender_rolled_back};
    }
    return {};
}

/// The options of a SenderCore.
struct SenderOptions {
    /// Names the stream of work, not the process; never changes. Required.
    Id id{};
    /// The largest payload that is accepted from the peer.
    std::uint32_t payload_bytes_max = 1U << 20U;
    /// Sent in HELLO, when the transport has not authenticated already. With more than 4 KiB,
    /// hello() fails.
    Bytes token{};
    /// See session_format::Hello.
    std::uint16_t sign_within_ms = 0;
};

/// The sending side of the session protocol, one lane.
///
/// Its state is the journal's and what dies with a connection; it performs no input or output but
/// on the journal. Session gives it messages and sends what it answers.
///
/// Thread safety: distinct objects safe.
/// Source:        docs/reference/formats/session-protocol.md, sections 5.1 and 7.
template <LogLike Log>
class SenderCore {
public:
    enum class Phase : std::uint8_t { closed, greeting, adopting, flowing };

    /// Pre: options.id is not no_id.
    SenderCore(Log& journal, SenderOptions options)
        : journal_{&journal}, options_{std::move(options)} {
        BELAY_OPTION(options_.id != no_id, "SenderCore: options.id must be set");
    }

    /// Forgets the connection, and nothing else.
    void close() noexcept { phase_ = Phase::closed; }

    /// A new connection is open: appends HELLO to `out`. It also forgets why it was blocked: what
    /// is still wrong is found again. Errors: of the journal; one that has failed sends no HELLO;
    /// SessionErrc::token_too_long.
    [[nodiscard]] std::error_code hello(Bytes& out) {
        // A token comes from a configuration or a server, so a long one is no mistake in the
        // program.
        if (options_.token.size() > session_format::token_bytes_max) {
            return SessionErrc::token_too_long;
        }
        if (const std::error_code e = journal_->failed()) return e;
        blocked_ = Blocked::none;
        const auto check = journal_->check(journal_->base() - 1);
        if (!check) return check.error();
        // A pin that was read at the opening is durable.
        if (connections_ == 0) pinned_ = journal_->store_pin();
        phase_ = Phase::greeting;
        window_.close();
        attach_ = (std::uint64_t{journal_->run()} << 32U) | ++connections_;
        session_format::append_hello(out, {.attach = attach_,
                                           .payload_bytes_max = options_.payload_bytes_max,
                                           .sign_within_ms = options_.sign_within_ms,
                                           .sender = options_.id,
                                           .journal = journal_->journal_id(),
                                           .pinned_store = journal_->store_pin(),
                                           .base = journal_->base(),
                                           .last = journal_->durable(),
                                           .check = *check,
                                           .token = options_.token});
        return {};
    }

    /// Replaces the token from the next hello() on.
    void renew_token(Bytes token) noexcept { options_.token = std::move(token); }

    /// Takes a message; appends what must be answered to `reply`.
    /// Errors: any SessionErrc, or of the journal; then the connection must be closed after the
    /// reply.
    [[nodiscard]] std::error_code take(BytesView message, Bytes& reply) {
        const bool greeted = phase_ == Phase::adopting || phase_ == Phase::flowing;
        session_format::FrameReader reader{
            message, greeted ? options_.payload_bytes_max : session_format::greeting_bytes_max};
        pong_due_ = false;
        while (true) {
            const auto next = reader.next();
            if (!next) return reject(reply, reader.bad_type());
            if (!*next) break;
            if (const std::error_code e = take_frame(**next, reply)) return e;
        }
        // One for all PINGs of a message, or it could cost us as many answers.
        if (pong_due_) {
            session_format::append_frame(
                reply, {.type = session_format::FrameType::pong, .number = pong_});
        }
        return {};
    }

    /// Appends DATA frames within the credit to `out`, at most `bytes_max`, or one that is longer.
    /// Errors: of the journal.
    [[nodiscard]] std::error_code fill(Bytes& out, std::size_t bytes_max) {
        while (out.size() < bytes_max && wants_to_send()) {
            const std::uint64_t number = window_.next();
            const auto body = journal_->read(number);
            const bool unfit = !body || body->size() > peer_payload_bytes_max_;
            // The operations before it are delivered first.
            if (unfit && !out.empty()) return {};
            if (!body) return body.error();
            if (unfit) return block(Blocked::too_large, SessionErrc::too_large);
            const std::size_t bytes = session_format::frame_header_bytes + body->size();
            if (!out.empty() && bytes > bytes_max - out.size()) return {};
            if (!window_.admits(body->size())) return {};
            session_format::append_frame(out, {.type = session_format::FrameType::data,
                                               .aux = journal_->salt_of(number),
                                               .number = number,
                                               .payload = *body});
            window_.sent(body->size());
        }
        return {};
    }

    /// Whether fill would send something, unless it finds no space for it.
    [[nodiscard]] bool wants_to_send() const noexcept {
        return phase_ == Phase::flowing && blocked_ == Blocked::none &&
               window_.open(journal_->durable());
    }
    [[nodiscard]] Phase phase() const noexcept { return phase_; }
    [[nodiscard]] Blocked blocked() const noexcept { return blocked_; }
    [[nodiscard]] const BlockedDetails& details() const noexcept { return details_; }
    [[nodiscard]] std::uint64_t acked() const noexcept { return journal_->base() - 1; }
    /// How often a receiver gave up another journal for ours.
    [[nodiscard]] std::uint32_t replacements() const noexcept { return replacements_; }
    /// Our own journal failed: nothing can be promised any more.
    void journal_failed() noexcept {
        static_cast<void>(block(Blocked::journal_failed, SessionErrc::journal_failed));
    }

    /// The wait that the receiver asked for with its last ERROR; 0ns if none.   Resets it.
    [[nodiscard]] Duration take_retry_after() noexcept {
        return std::exchange(retry_after_, Duration::zero());
    }

    /// Calls `f` with all that it decides by, for sim::exhaust.
    template <class F>
    void each_field(Instant, F&& f) const {
        f(phase_);
        f(blocked_);
        f(connections_);  // attach_ follows from it
        f(gaps_);
        f(peer_payload_bytes_max_);
        f(retry_after_);
        f(details_.receiver_store);
        f(pinned_);
        window_.each_field(f);
    }

private:
    [[nodiscard]] std::error_code take_frame(const session_format::Frame& frame, Bytes& reply) {
        if (phase_ == Phase::closed || frame.lane != 0) {
            return reject(reply, static_cast<std::uint8_t>(frame.type));
        }
        switch (frame.type) {
            case session_format::FrameType::welcome:
                if (phase_ == Phase::greeting) return on_welcome(frame, reply);
                break;
            case session_format::FrameType::ack:
                if (phase_ != Phase::greeting) return on_ack(frame, reply);
                break;
            case session_format::FrameType::error:
                return on_error(frame);
            case session_format::FrameType::ping:
                pong_due_ = true;
                pong_ = frame.number;
                return {};
            case session_format::FrameType::pong:
                return {};
            default:
                break;
        }
        return reject(reply, static_cast<std::uint8_t>(frame.type));
    }

    [[nodiscard]] std::error_code on_welcome(const session_format::Frame& frame, Bytes& reply) {
        const auto read = session_format::read_welcome(frame);
        if (!read || read->attach != attach_) {
            return reject(reply, static_cast<std::uint8_t>(frame.type));
        }
        const session_format::Welcome& g = *read;
        note(g);
        const SenderFacts mine{acked(), journal_->durable(), journal_->store_pin()};
        if (const StateLoss loss = detect_state_loss(mine, g); loss.blocked != Blocked::none) {
            return block(loss.blocked, loss.error);
        }
        if (g.known) {
            if (const std::error_code e = compare_check(g)) return e;
            // The answer to a resume is an acknowledgement.
            if (const std::error_code e = release(g.applied)) return e;
            if (const std::error_code e = pin_store(g.store)) return e;
        }
        if (g.replaces) ++replacements_;
        session_format::append_frame(reply,
                                     {.type = session_format::FrameType::start, .number = attach_});
        peer_payload_bytes_max_ = g.payload_bytes_max;
        phase_ = g.known ? Phase::flowing : Phase::adopting;
        if (g.known) resume(g.applied, {g.number_limit, g.byte_limit});
        return {};
    }

    /// Whether both sides mean the same operations; only a journal that the receiver knows can be
    /// compared.
    [[nodiscard]] std::error_code compare_check(const session_format::Welcome& g) {
        const auto check = journal_->check(g.applied);
        if (!check) return check.error();
        return *check == g.check ? std::error_code{}
                                 : block(Blocked::diverged, SessionErrc::diverged);
    }

    void resume(std::uint64_t applied, Credit credit) noexcept {
        // Always from the receiver's number, never from our own memory of what was sent.
        window_.resume(applied + 1, credit);
    }

    [[nodiscard]] std::error_code on_ack(const session_format::Frame& frame, Bytes& reply) {
        FieldReader r{frame.payload};
        const auto number_limit = r.get<std::uint64_t>();
        const auto byte_limit = r.get<std::uint64_t>();
        const std::uint64_t most = phase_ == Phase::adopting ? 0 : window_.highest();
        if (!r.complete() || frame.number > most || number_limit >= detail::number_ceiling) {
            return reject(reply, static_cast<std::uint8_t>(frame.type));
        }
        if (phase_ == Phase::adopting) {
            // The journal is adopted now, and not before: pinned at WELCOME, a lost START would
            // look like a receiver that forgot us.
            if (const std::error_code e = pin_store(details_.receiver_store)) return e;
            phase_ = Phase::flowing;
            resume(0, {number_limit, byte_limit});
            return {};
        }
        window_.grant({number_limit, byte_limit});
        if (frame.number <= acked()) return {};
        gaps_ = 0;
        return release(frame.number);
    }

    [[nodiscard]] std::error_code on_error(const session_format::Frame& frame) {
        details_.attach = frame.number;
        const SessionErrc error = session_format::error_of(frame);
        switch (error) {
            case SessionErrc::fenced:
                return block(Blocked::fenced, error);
            case SessionErrc::store_changed:
            case SessionErrc::unknown_journal:
                return lost_state(frame, error);
            case SessionErrc::gap:
                return ++gaps_ < 2 ? error : block(Blocked::diverged, SessionErrc::diverged);
            case SessionErrc::too_large:
                return block(Blocked::too_large, error);
            case SessionErrc::overloaded:
            case SessionErrc::draining:
                retry_after_ =
                    std::chrono::milliseconds{smaller<std::uint64_t>(frame.number, 3600000)};
                return error;
            default:
                return error;
        }
    }

    [[nodiscard]] std::error_code lost_state(const session_format::Frame& frame,
                                             SessionErrc error) {
        FieldReader r{frame.payload};
        const Id store = r.get_id();
        if (!r.failed()) details_.receiver_store = store;
        return block(Blocked::receiver_lost_state, error);
    }

    /// Gives up what is acknowledged. A file that cannot be deleted now is deleted later: only a
    /// journal that has failed ends the session.
    [[nodiscard]] std::error_code release(std::uint64_t up_to) noexcept {
        const std::error_code e = journal_->ack(up_to);
        return e ? journal_->failed() : e;
    }

    [[nodiscard]] std::error_code pin_store(const Id& store) {
        // Also when it is pinned already: the last attempt may have failed to make it durable.
        const std::error_code e = journal_->pin_store(store);
        if (!e) pinned_ = store;
        // The pin is durable since an earlier connection, and there is no space for operations.
        // Those before them may be sent.
        const bool is_durable = pinned_ == store && !journal_->failed();
        return is_durable && e != QueueErrc::displaced ? std::error_code{} : e;
    }

    void note(const session_format::Welcome& g) noexcept {
        details_.acked = acked();
        details_.last = journal_->durable();
        details_.applied = g.applied;
        details_.pinned_store = journal_->store_pin();
        details_.receiver_store = g.store;
        details_.replaced_journal = g.replaced_journal;
        details_.replaced_applied = g.replaced_applied;
    }

    [[nodiscard]] std::error_code block(Blocked why, SessionErrc error) noexcept {
        details_.acked = acked();
        details_.last = journal_->durable();
        details_.pinned_store = journal_->store_pin();
        blocked_ = why;
        return error;
    }

    [[nodiscard]] static std::error_code reject(Bytes& reply, std::uint8_t type) {
        session_format::append_error(reply, SessionErrc::protocol, type);
        return SessionErrc::protocol;
    }

    Log* journal_;
    SenderOptions options_;
    BlockedDetails details_{};
    Phase phase_ = Phase::closed;
    Blocked blocked_ = Blocked::none;
    std::uint32_t replacements_ = 0;
    std::uint32_t connections_ = 0;
    std::uint32_t gaps_ = 0;
    std::uint32_t peer_payload_bytes_max_ = 0;
    Duration retry_after_{};
    std::uint64_t attach_ = 0;
    std::uint64_t pong_ = 0;  // the number of the last PING of a message
    bool pong_due_ = false;
    Id pinned_{};  // the store whose pin is durable
    SendWindow window_;
};

}}}  // namespace belay::detail
