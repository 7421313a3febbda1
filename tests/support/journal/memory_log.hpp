// SPDX-License-Identifier: MIT
/// \file tests/support/journal/memory_log.hpp
/// A LogLike in memory with the extreme behaviours that the concept allows. An acknowledgement is
/// durable at once, also before entries that were appended earlier are durable. Or it is durable as
/// late as possible.
#pragma once

#include <belay/journal/journal_options.hpp>
#include <belay/journal/log_like.hpp>
#include <map>
#include <set>
#include <utility>

namespace belay_test {

/// The state that outlives a MemoryLog.
struct MemoryMedium {
    std::map<std::uint64_t, belay::Bytes> entries;
    std::uint64_t base = 1;
    std::uint64_t last = 0;
    std::uint64_t durable = 0;
    std::uint32_t runs = 0;
    std::uint64_t bad_sector = 0;  // an entry that the medium cannot read
    bool reads_fail = false;       // the medium can read nothing for a while
    std::error_code read_error = std::make_error_code(std::errc::io_error);
    std::size_t reads = 0;
    std::uint64_t bad_after_sync = 0;  // an entry whose first read after a sync fails
    std::set<std::uint64_t> damaged;   // entries that cannot be read any more
    std::size_t record_bytes_max = std::size_t{1} << 20;
    bool sync_has_no_space = false;
    bool acks_are_late = false;  // acknowledgements become durable with a sync, and not at once
    bool acks_have_no_space = false;  // acknowledgements do not become durable with a sync either
    std::uint64_t calls = 0;          // appends, acks, syncs
    std::uint64_t fails_from = ~std::uint64_t{0};
    bool fails_once = false;  // this call only
    std::error_code fails_with = std::make_error_code(std::errc::io_error);

    /// The power fails: entries that were not durable are lost. Acknowledged ones stay
    /// acknowledged.
    void crash() {
        last = durable < base ? base - 1 : durable;
        entries.erase(entries.upper_bound(last), entries.end());
        durable = last;
        fails_from = ~std::uint64_t{0};
    }
};

class MemoryLog {
public:
    explicit MemoryLog(MemoryMedium& medium) : m_{&medium} {
        run_ = ++m_->runs;
        base_ = m_->base;
        m_->durable = m_->last;
    }

    [[nodiscard]] const belay::Id& journal_id() const noexcept { return id_; }
    [[nodiscard]] std::uint32_t run() const noexcept { return run_; }
    [[nodiscard]] std::uint32_t salt() const noexcept { return run_ * 77; }
    [[nodiscard]] const belay::Id& store_pin() const noexcept { return belay::no_id; }
    [[nodiscard]] std::error_code pin_store(const belay::Id&) noexcept { return {}; }
    [[nodiscard]] std::uint64_t base() const noexcept { return base_; }
    [[nodiscard]] std::uint64_t acked_durable() const noexcept { return m_->base - 1; }
    [[nodiscard]] std::uint64_t last() const noexcept { return m_->last; }
    [[nodiscard]] std::uint64_t durable() const noexcept { return m_->durable; }
    [[nodiscard]] belay::Result<std::uint64_t> append(belay::BytesView body) noexcept {
        if (body.size() > m_->record_bytes_max) {
            return make_error_code(belay::QueueErrc::too_large);
        }
        if (const std::error_code error = call()) return error;
        m_->entries[++m_->last] = belay::to_bytes(body);
        return m_->last;
    }
    [[nodiscard]] std::error_code commit() noexcept {
        if (const std::error_code error = call()) return error;
        if (m_->sync_has_no_space) return std::make_error_code(std::errc::no_space_on_device);
        m_->durable = m_->last;
        if (!m_->acks_have_no_space) give_up();
        synced_ = true;
        return {};
    }
    [[nodiscard]] belay::Result<belay::BytesView> read(std::uint64_t number) {
        if (number < base() || number > last()) {
            return make_error_code(belay::QueueErrc::unknown_number);
        }
        ++m_->reads;
        const bool is_after_sync = std::exchange(synced_, false);
        if (m_->reads_fail || number == m_->bad_sector ||
            (is_after_sync && number == m_->bad_after_sync))
            return m_->read_error;
        if (m_->damaged.contains(number)) return make_error_code(belay::QueueErrc::corrupt);
        lent_ = m_->entries.at(number);  // a copy, because the view from before is no longer valid
        return belay::BytesView{lent_};
    }
    [[nodiscard]] std::uint32_t salt_of(std::uint64_t) const noexcept { return salt(); }
    [[nodiscard]] belay::Result<std::uint64_t> check(std::uint64_t) { return std::uint64_t{0}; }
    [[nodiscard]] std::error_code ack(std::uint64_t up_to) noexcept {
        if (const std::error_code error = call()) return error;
        if (up_to > last()) return make_error_code(belay::QueueErrc::unknown_number);
        if (up_to < base()) return {};
        base_ = up_to + 1;
        if (!m_->acks_are_late) give_up();
        return {};
    }
    [[nodiscard]] std::error_code failed() const noexcept {
        return failed_ && !belay::detail::is_lack_of_space(m_->fails_with) ? m_->fails_with
                                                                           : std::error_code{};
    }

private:
    void give_up() noexcept {
        m_->base = base_;
        m_->entries.erase(m_->entries.begin(), m_->entries.lower_bound(base_));
    }
    std::error_code call() noexcept {
        if (failed_ && failed()) return m_->fails_with;
        failed_ = ++m_->calls >= m_->fails_from && (!m_->fails_once || m_->calls == m_->fails_from);
        return failed_ ? m_->fails_with : std::error_code{};
    }

    MemoryMedium* m_;
    belay::Id id_{std::byte{1}};
    std::uint32_t run_ = 0;
    std::uint64_t base_ = 1;
    bool failed_ = false;
    bool synced_ = false;  // nothing was read since the sync
    belay::Bytes lent_;
};

static_assert(belay::LogLike<MemoryLog>);

}  // namespace belay_test
