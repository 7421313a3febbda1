// SPDX-License-Identifier: MIT
/// \file belay/session/detail/sender_core.hpp
/// SenderCore: what a sender says and believes, over any number of connections; without one itself.
#pragma once

#include <utility>  // std::move

#include <belay/core/order.hpp>
#include <belay/journal/log_like.hpp>
#include <belay/session/blocked.hpp>
#include <belay/session/detail/credit.hpp>
#include <belay/session/detail/planted_fault.hpp>
#include <belay/session/greeting.hpp>

namespace belay::inline BELAY_ABI::detail {

/// What a SenderCore is tuned by.
struct SenderOptions {
    /// Names the stream of work, not the process; never changes. Required.
    Id id{};
    /// The largest payload that is accepted from the peer.
    std::uint32_t payload_bytes_max = 1U << 20U;
    /// Sent in HELLO, when the transport has not authenticated already; at most 4 KiB.
    Bytes token{};
};

/// The sending side of the session protocol, one lane.
///
/// Its state is the journal's and what dies with a connection; it performs no input or output but
/// on the journal. Session gives it messages and sends what it answers.
///
/// Thread safety: distinct objects safe.
/// Source:        docs/session-protocol.md, sections 5.1 and 7.
template <LogLike Log, class Fault = detail::NoFault>
class SenderCore {
public:
    enum class Phase : std::uint8_t { closed, greeting, adopting, flowing };

    /// Pre: options.id is not no_id.
    SenderCore(Log& journal, SenderOptions options)
        : journal_{&journal}, options_{std::move(options)} {
        BELAY_PRECONDITION(options_.id != no_id, "SenderCore: options.id must be set");
        BELAY_PRECONDITION(options_.token.size() <= session_format::token_bytes_max,
                           "SenderCore: the token must be <= 4 KiB");
    }

    /// Forgets the connection, and nothing else.
    void close() noexcept { phase_ = Phase::closed; }

    /// A new connection is open: appends HELLO to `out`. It also forgets why it was blocked: what
    /// is still wrong is found again. Errors: of the journal; a journal that has failed greets
    /// nobody.
    [[nodiscard]] std::error_code hello(Bytes& out) {
        if (const std::error_code e = journal_->failed()) return e;
        blocked_ = Blocked::none;
        const auto check = journal_->check(journal_->base() - 1);
        if (!check) return check.error();
        phase_ = Phase::greeting;
        highest_sent_ = 0;
        credit_ = {};
        bytes_sent_ = 0;
        attach_ = (std::uint64_t{journal_->run()} << 32U) | ++connections_;
        session_format::append_hello(out, {.attach = attach_,
                                           .payload_bytes_max = options_.payload_bytes_max,
                                           .sender = options_.id,
                                           .journal = journal_->journal_id(),
                                           .pinned_store = journal_->store_pin(),
                                           .base = journal_->base(),
                                           .last = journal_->durable(),
                                           .check = *check,
                                           .token = options_.token});
        return {};
    }

    /// Takes a message; appends what must be answered to `reply`.
    /// Errors: any SessionErrc, or of the journal; then the connection must be closed after the
    /// reply.
    [[nodiscard]] std::error_code take(BytesView message, Bytes& reply) {
        const bool greeted = phase_ == Phase::adopting || phase_ == Phase::flowing;
        session_format::FrameReader reader{
            message, greeted ? options_.payload_bytes_max : session_format::greeting_bytes_max};
        while (true) {
            const auto next = reader.next();
            if (!next) return refuse(reply, reader.bad_type());
            if (!*next) return {};
            if (const std::error_code e = take_frame(**next, reply)) return e;
        }
    }

    /// Appends DATA frames within the credit until `out` has about `bytes_wanted`.
    /// Errors: of the journal.
    [[nodiscard]] std::error_code fill(Bytes& out, std::size_t bytes_wanted) {
        while (phase_ == Phase::flowing && blocked_ == Blocked::none && out.size() < bytes_wanted &&
               next_ <= journal_->durable() && next_ <= credit_.number_limit) {
            const auto body = journal_->read(next_);
            if (!body) return body.error();
            if (body->size() > peer_payload_bytes_max_) {
                // What comes before it is delivered first.
                if (!out.empty()) return {};
                return block(Blocked::too_large, SessionErrc::too_large);
            }
            starved_ = body->size() > credit_.byte_limit - bytes_sent_;
            if (starved_) return {};
            session_format::append_frame(out, {.type = session_format::FrameType::data,
                                               .aux = journal_->salt_of(next_),
                                               .number = next_,
                                               .payload = *body});
            bytes_sent_ += body->size();
            highest_sent_ = larger(highest_sent_, next_);
            ++next_;
        }
        return {};
    }

    /// Whether fill would send something.
    [[nodiscard]] bool wants_to_send() const noexcept {
        return phase_ == Phase::flowing && blocked_ == Blocked::none && !starved_ &&
               next_ <= journal_->durable() && next_ <= credit_.number_limit;
    }
    [[nodiscard]] Phase phase() const noexcept { return phase_; }
    [[nodiscard]] Blocked blocked() const noexcept { return blocked_; }
    [[nodiscard]] const BlockedDetails& details() const noexcept { return details_; }
    [[nodiscard]] std::uint64_t acked() const noexcept { return journal_->base() - 1; }
    /// Whether the receiver gave up another journal for ours; once.
    [[nodiscard]] bool take_replaced() noexcept { return std::exchange(replaced_, false); }
    /// Our own journal failed: nothing can be promised any more.
    void journal_failed() noexcept {
        static_cast<void>(block(Blocked::journal_failed, SessionErrc::journal_failed));
    }

    /// The wait that the receiver asked for with its last ERROR; 0ns if none.   Resets it.
    [[nodiscard]] Duration take_retry_after() noexcept {
        return std::exchange(retry_after_, Duration::zero());
    }

private:
    [[nodiscard]] std::error_code take_frame(const session_format::Frame& frame, Bytes& reply) {
        if (phase_ == Phase::closed || frame.lane != 0) {
            return refuse(reply, static_cast<std::uint8_t>(frame.type));
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
                session_format::append_frame(
                    reply, {.type = session_format::FrameType::pong, .number = frame.number});
                return {};
            case session_format::FrameType::pong:
                return {};
            default:
                break;
        }
        return refuse(reply, static_cast<std::uint8_t>(frame.type));
    }

    [[nodiscard]] std::error_code on_welcome(const session_format::Frame& frame, Bytes& reply) {
        const auto read = session_format::read_welcome(frame);
        if (!read || read->attach != attach_) {
            return refuse(reply, static_cast<std::uint8_t>(frame.type));
        }
        const session_format::Welcome& g = *read;
        note(g);
        const Id& pin = journal_->store_pin();
        if (pin != no_id && (pin != g.store || !g.known) && !Fault::never_pin) {
            return block(Blocked::receiver_lost_state, SessionErrc::store_changed);
        }
        if (g.known) {
            if (const std::error_code e = compare(g)) return e;
            // The answer to a resume is an acknowledgement.
            if (!Fault::resend_from_acked) {
                if (const std::error_code e = release(g.applied)) return e;
            }
        }
        if (g.known || Fault::pin_at_welcome) {
            if (const std::error_code e = pin_store(g.store)) return e;
        }
        if (g.replaces) replaced_ = true;
        session_format::append_frame(reply,
                                     {.type = session_format::FrameType::start, .number = attach_});
        peer_payload_bytes_max_ = g.payload_bytes_max;
        phase_ = g.known ? Phase::flowing : Phase::adopting;
        if (g.known) resume(g.applied, {g.number_limit, g.byte_limit});
        return {};
    }

    /// Whether both sides mean the same; only a journal that the receiver knows can be compared.
    [[nodiscard]] std::error_code compare(const session_format::Welcome& g) {
        if (g.applied < acked()) {
            return block(Blocked::receiver_rolled_back, SessionErrc::rolled_back_receiver);
        }
        if (Fault::no_check) return {};
        if (g.applied > journal_->durable()) {
            return block(Blocked::sender_rolled_back, SessionErrc::rolled_back_sender);
        }
        const auto check = journal_->check(g.applied);
        if (!check) return check.error();
        return *check == g.check ? std::error_code{}
                                 : block(Blocked::diverged, SessionErrc::diverged);
    }

    void resume(std::uint64_t applied, Credit credit) noexcept {
        // Always from the receiver's number, never from our own memory of what was sent.
        const std::uint64_t from = Fault::resend_from_acked ? acked() : applied;
        next_ = Fault::resume_from_memory ? larger(next_, from + 1) : from + 1;
        highest_sent_ = next_ - 1;
        credit_ = credit;
        starved_ = false;
    }

    [[nodiscard]] std::error_code on_ack(const session_format::Frame& frame, Bytes& reply) {
        FieldReader r{frame.payload};
        const auto number_limit = r.get<std::uint64_t>();
        const auto byte_limit = r.get<std::uint64_t>();
        const std::uint64_t most = phase_ == Phase::adopting ? 0 : highest_sent_;
        if (!r.complete() || frame.number > most || number_limit >= detail::number_ceiling) {
            return refuse(reply, static_cast<std::uint8_t>(frame.type));
        }
        if (phase_ == Phase::adopting) {
            // The journal is adopted now, and not before: pinned at WELCOME, a lost START would
            // look like a receiver that forgot us.
            if (const std::error_code e = pin_store(details_.receiver_store)) return e;
            phase_ = Phase::flowing;
            resume(0, {number_limit, byte_limit});
            return {};
        }
        credit_.number_limit = larger(credit_.number_limit, number_limit);
        credit_.byte_limit = larger(credit_.byte_limit, byte_limit);
        starved_ = false;
        if (frame.number <= acked()) return {};
        gaps_ = 0;
        return release(frame.number);
    }

    [[nodiscard]] std::error_code on_error(const session_format::Frame& frame) {
        details_.attach = frame.number;
        switch (frame.aux) {
            case 5:
                return block(Blocked::fenced, SessionErrc::fenced);
            case 6:
                return lost_state(frame, SessionErrc::store_changed);
            case 7:
                return lost_state(frame, SessionErrc::unknown_journal);
            case 8:
                return ++gaps_ < 2 ? SessionErrc::gap
                                   : block(Blocked::diverged, SessionErrc::diverged);
            case 9:
                return block(Blocked::too_large, SessionErrc::too_large);
            case 10:
            case 11:
                retry_after_ =
                    std::chrono::milliseconds{smaller<std::uint64_t>(frame.number, 3600000)};
                break;
            default:
                break;
        }
        const bool known = (frame.aux >= 1 && frame.aux <= 13) || frame.aux == 19;
        return known ? static_cast<SessionErrc>(frame.aux) : SessionErrc::protocol;
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
        if (Fault::never_pin) return {};
        return journal_->pin_store(store);
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

    [[nodiscard]] static std::error_code refuse(Bytes& reply, std::uint8_t type) {
        session_format::append_error(reply, SessionErrc::protocol, type);
        return SessionErrc::protocol;
    }

    Log* journal_;
    SenderOptions options_;
    BlockedDetails details_{};
    Phase phase_ = Phase::closed;
    Blocked blocked_ = Blocked::none;
    bool replaced_ = false;
    bool starved_ = false;  // the next operation waits for bytes of credit
    std::uint32_t connections_ = 0;
    std::uint32_t gaps_ = 0;
    std::uint32_t peer_payload_bytes_max_ = 0;
    Duration retry_after_{};
    std::uint64_t attach_ = 0;
    std::uint64_t next_ = 0;          // the next number to send on this connection
    std::uint64_t highest_sent_ = 0;  // on this connection
    Credit credit_{};
    std::uint64_t bytes_sent_ = 0;
};

}  // namespace belay::inline BELAY_ABI::detail
