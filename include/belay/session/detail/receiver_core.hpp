// SPDX-License-Identifier: MIT
/// \file belay/session/detail/receiver_core.hpp
/// ReceiverCore: everything a receiver decides about one sender, as a value without connections.
#pragma once

#include <belay/core/order.hpp>
#include <belay/journal/journal_format.hpp>
#include <belay/session/ledger_like.hpp>
#include <belay/session/receiver_options.hpp>
#include <belay/session/session_format.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Decides for one sender which connection is served, and which operation comes next.
///
/// - A connection that is *attached* is the one that is served. The attach number of its HELLO is
///   higher than those of all earlier connections with the same journal.
/// - To *fence* is to close the other connections of the sender, and to reject their messages.
/// - A connection *pends* while its journal is new here. Its START lets the receiver *adopt* the
///   journal: record it durably, in the place of the one before.
///
/// Connections are named by numbers that their owner gives them. The owner carries decisions out
/// and calls back with what has become durable. The steps are in section 5.2 of
/// docs/reference/formats/session-protocol.md.
///
/// Models:        std::copyable.
/// Thread safety: distinct objects safe.
class ReceiverCore {
public:
    /// The answer to a HELLO.
    enum class Greeting : std::uint8_t {
        reject,  ///< ERROR `error`; close
        attach,  ///< fence, settle, then WELCOME from `attach`
        pend     ///< WELCOME from `pend`; nothing changes before START
    };
    struct HelloAnswer {
        Greeting greeting = Greeting::reject;
        SessionErrc error = SessionErrc::protocol;
        std::uint64_t detail = 0;
    };
    /// The outcome of a DATA frame.
    enum class Data : std::uint8_t {
        skip,     ///< it has taken effect already
        apply,    ///< it takes effect, with `progress_after`
        gap,      ///< ERROR gap; close
        protocol  ///< ERROR protocol; close
    };

    /// How often a sender without an authorizer may have been started since the attach of its
    /// record.
    static constexpr std::uint64_t runs_ahead_max = std::uint64_t{1} << 20U;

    /// `authorized`: a peer that sends HELLO for a sender has shown that it may.
    ReceiverCore(const Id& store, const ReceiverOptions::Limits& limits,
                 bool authorized = false) noexcept
        : store_{store}, limits_{limits}, authorized_{authorized} {}

    /// Steps 1 to 3: looks at a HELLO, changes nothing.   `record`: the store's, for this sender.
    [[nodiscard]] HelloAnswer check_hello(const session_format::Hello& h,
                                          const std::optional<Progress>& record) const {
        if (h.pinned_store != no_id && h.pinned_store != store_) {
            return {Greeting::reject, SessionErrc::store_changed, 0};
        }
        const bool known = record && record->journal == h.journal;
        const std::uint64_t seen = known ? larger(record->attach, attach_of(h.journal)) : 0;
        // An attach that cannot be would shut every honest one out that comes after it. Against the
        // record, which only work lifts.
        const std::uint64_t run_max = run_max_of(known ? record->attach : 0);
        if ((h.attach >> 32U) > run_max) {
            return {Greeting::reject, SessionErrc::far_ahead, run_max << 32U | last_u32};
        }
        if (known) {
            if (h.attach <= seen) return {Greeting::reject, SessionErrc::fenced, seen};
            return {Greeting::attach, {}, 0};
        }
        if (h.base > 1 || h.pinned_store != no_id) {
            return {Greeting::reject, SessionErrc::unknown_journal, 0};
        }
        return {Greeting::pend, {}, 0};
    }

    /// Step 2, after fence and settlement: this connection is the one that counts.
    /// Returns: the WELCOME.
    session_format::Welcome attach(std::uint32_t connection, const session_format::Hello& h,
                                   const Progress& settled) noexcept {
        attached_ = connection;
        journal_ = h.journal;
        attach_ = h.attach;
        progress_ = settled;
        bytes_received_ = 0;
        credit_ = {};
        session_format::Welcome g = welcome(h);
        g.known = true;
        g.applied = settled.applied;
        g.check = settled.check;
        const Credit credit = grant();
        g.number_limit = credit.number_limit;
        g.byte_limit = credit.byte_limit;
        return g;
    }

    /// Step 3: the answer to a journal that would be new here.
    [[nodiscard]] session_format::Welcome pend(
        const session_format::Hello& h, const std::optional<Progress>& record) const noexcept {
        session_format::Welcome g = welcome(h);
        if (record) {
            g.replaces = true;
            g.replaced_journal = record->journal;
            g.replaced_applied = record->applied;
        }
        return g;
    }

    /// Step 4, after all other connections are closed and settled: the record to make durable.
    [[nodiscard]] static Progress adoption(const session_format::Hello& h) {
        return {.journal = h.journal,
                .attach = h.attach,
                .applied = 0,
                .check = journal_format::first_check(h.journal)};
    }

    /// The adoption is durable.
    void adopted(std::uint32_t connection, const session_format::Hello& h,
                 const Progress& record) noexcept {
        attached_ = connection;
        journal_ = h.journal;
        attach_ = record.attach;
        progress_ = record;
        bytes_received_ = 0;
        credit_ = {};
    }

    /// Step 6: what to do with an operation.
    [[nodiscard]] Data check_data(std::uint32_t connection,
                                  const session_format::Frame& f) noexcept {
        if (!serves(connection) || f.flags != 0 || f.number == 0) return Data::protocol;
        bytes_received_ += f.payload.size();
        if (bytes_received_ > credit_.byte_limit || f.number > credit_.number_limit)
            return Data::protocol;
        if (f.number <= progress_.applied) return Data::skip;
        return f.number == progress_.applied + 1 ? Data::apply : Data::gap;
    }

    /// Returns the progress after the operation of `f` has taken effect.
    [[nodiscard]] Progress progress_after(const session_format::Frame& f) const noexcept {
        return {.journal = progress_.journal,
                .attach = attach_,
                .applied = f.number,
                .check = journal_format::next_check(progress_.check, f.payload, f.aux)};
    }
    void applied(const Progress& progress) noexcept { progress_ = progress; }

    /// The credit that the next ACK gives; it never shrinks. A window without limit ends at the
    /// last number, and at the last byte that the frame can count.
    Credit grant() noexcept {
        const std::uint64_t numbers_left = number_ceiling - 1 - progress_.applied;
        credit_.number_limit = larger(
            credit_.number_limit, progress_.applied + smaller(limits_.number_window, numbers_left));
        // Space for one largest payload always, or two small limits could wait for each other.
        const std::uint64_t window =
            larger<std::uint64_t>(limits_.byte_window, limits_.payload_bytes_max);
        credit_.byte_limit = bytes_received_ + smaller(window, ~std::uint64_t{0} - bytes_received_);
        return credit_;
    }

    /// The connection has ended.
    void ended(std::uint32_t connection) noexcept {
        if (attached_ == connection) attached_ = 0;
    }
    [[nodiscard]] bool serves(std::uint32_t connection) const noexcept {
        return attached_ == connection;
    }
    [[nodiscard]] std::uint32_t attached() const noexcept { return attached_; }
    [[nodiscard]] const Progress& progress() const noexcept { return progress_; }

    /// Calls `f` with all that it decides by, for sim::exhaust.
    template <class F>
    void each_field(Instant, F&& f) const {
        f(journal_);  // that of progress_, whose attach decides nothing
        f(attach_);
        f(attached_);
        f(progress_.applied);
        f(progress_.check);
        f(bytes_received_);
        f(credit_.number_limit);
        f(credit_.byte_limit);
    }

private:
    static constexpr std::uint64_t last_u32 = 0xFFFF'FFFF;

    /// An authorized sender may have crashed at each start for weeks, and can harm only itself. It
    /// leaves space for as many runs again.
    [[nodiscard]] std::uint64_t run_max_of(std::uint64_t recorded) const noexcept {
        const std::uint64_t run = recorded >> 32U;
        return run + (authorized_ ? (last_u32 - run) / 2 : smaller(runs_ahead_max, last_u32 - run));
    }
    [[nodiscard]] session_format::Welcome welcome(const session_format::Hello& h) const noexcept {
        session_format::Welcome g;
        g.attach = h.attach;
        g.payload_bytes_max = limits_.payload_bytes_max;
        g.store = store_;
        return g;
    }
    [[nodiscard]] std::uint64_t attach_of(const Id& journal) const noexcept {
        return journal == journal_ ? attach_ : 0;
    }

    Id store_;
    ReceiverOptions::Limits limits_;
    Id journal_{};                // of the last connection that was attached
    std::uint64_t attach_ = 0;    // its number
    std::uint32_t attached_ = 0;  // that connection while it lives; 0 for none
    bool authorized_;
    Progress progress_{};  // with what is applied and not yet committed
    std::uint64_t bytes_received_ = 0;
    Credit credit_{};
};

}}}  // namespace belay::detail
