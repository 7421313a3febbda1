// SPDX-License-Identifier: MIT
/// \file tests/support/queue/broken_storages.hpp
/// BrokenStorage: a durable storage with one planted mistake, or none, for the test of
/// check::storage.
#pragma once

#include <cstdint>
#include <deque>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include <belay/queue/storage_check.hpp>

namespace belay_test {

enum class Mistake : std::uint8_t {
    none,
    not_empty_at_first,
    no_capacity,
    grows_its_capacity,
    size_off_by_one,
    rejects_one_early,
    drops_oldest_when_full,
    forgets_oldest_on_rejection,
    changes_rejected,
    takes_newest,
    gives_from_nothing,
    swaps_one,
    loses_on_move,
    copies_on_move,
    forgets_on_reopening,
    brings_back_acknowledged,
    leases_newest,
    leases_from_nothing,
    push_moves_what_is_leased,
    leases_the_next_again,
    leaves_out_what_is_leased,
    ack_drops_newest,
    ack_drops_two,
    keeps_on_ack,
    ack_fails,
    pops_the_next_of_what_is_leased,
    pop_leaves_the_lease,
    loses_on_nack,
    doubles_on_nack,
    nack_puts_last,
    loses_in_unwinding,
    forgets_what_is_leased,
    confirms_pushes_when_displaced,
    confirms_acks_when_displaced,
    stays_displaced
};

/// At most four strings, written through to `disk`, which outlives the storage.
template <Mistake mistake>
class BrokenStorage {
    static constexpr bool is(Mistake m) noexcept { return mistake == m; }

public:
    using value_type = std::string;
    using Disk = std::deque<std::string>;
    static constexpr std::size_t space = 4;

    /// `path` selects the disk that the next opening finds.
    BrokenStorage(std::shared_ptr<Disk> disk, const std::shared_ptr<Disk>& path)
        : disk_{std::move(disk)}, path_{&path}, held_{*disk_} {
        if (is(Mistake::forgets_on_reopening) && !held_.empty()) held_.pop_back();
        if (is(Mistake::not_empty_at_first) && held_.empty()) held_.emplace_back("left over");
    }
    BrokenStorage(BrokenStorage&& other) noexcept
        : disk_{is(Mistake::copies_on_move) ? other.disk_ : std::move(other.disk_)},
          path_{other.path_},
          held_{is(Mistake::copies_on_move) ? other.held_ : std::move(other.held_)},
          shown_{std::move(other.shown_)},
          lent_{other.lent_},
          capacity_{other.capacity_} {
        other.held_.clear();
        if (is(Mistake::loses_on_move) && held_.size() == space) held_.pop_back();
    }
    BrokenStorage& operator=(BrokenStorage&& other) noexcept {
        disk_ = std::move(other.disk_);
        // The mistake: the earlier content stays.
        if (!is(Mistake::copies_on_move)) held_.clear();
        for (std::string& value : other.held_) held_.push_back(std::move(value));
        if (is(Mistake::copies_on_move) && !held_.empty()) held_.push_back(held_.front());
        other.held_.clear();
        lent_ = other.lent_;
        capacity_ = other.capacity_;
        return *this;
    }
    ~BrokenStorage() {
        if (is(Mistake::forgets_what_is_leased) && lent_ && disk_) disk_->pop_front();
    }

    bool try_push(std::string&& value) noexcept {
        if (displaced() && !is(Mistake::confirms_pushes_when_displaced)) return false;
        if (held_.size() >= (is(Mistake::rejects_one_early) ? space - 1 : space)) {
            if (is(Mistake::drops_oldest_when_full)) {
                held_.pop_front();
                return take(std::move(value));
            }
            if (is(Mistake::forgets_oldest_on_rejection)) held_.pop_front();
            if (is(Mistake::changes_rejected)) value.clear();
            return false;
        }
        if (is(Mistake::grows_its_capacity) && held_.size() + 1 == space) ++capacity_;
        return take(std::move(value));
    }
    std::optional<std::string> try_pop() {
        if (held_.empty()) {
            return is(Mistake::gives_from_nothing) ? std::optional{std::string{}} : std::nullopt;
        }
        const bool wrong = is(Mistake::takes_newest) ||
                           (is(Mistake::swaps_one) && held_.front() == "50") ||
                           (is(Mistake::pops_the_next_of_what_is_leased) && lent_);
        if (!is(Mistake::pop_leaves_the_lease)) lent_ = false;
        std::string value = wrong ? held_.back() : held_.front();
        wrong ? held_.pop_back() : held_.pop_front();
        save();
        return value;
    }
    std::string* front() {
        if (is(Mistake::pop_leaves_the_lease) && lent_) return &shown_;
        if (held_.empty()) {
            shown_ = "nothing";
            return is(Mistake::leases_from_nothing) ? &shown_ : nullptr;
        }
        if (is(Mistake::leases_the_next_again) && lent_ && held_.size() > 1) return &held_[1];
        lent_ = true;
        if (is(Mistake::leases_newest)) return &held_.back();
        if (!is(Mistake::push_moves_what_is_leased) && !is(Mistake::pop_leaves_the_lease)) {
            return &held_.front();
        }
        shown_ = held_.front();
        return &shown_;
    }
    std::error_code ack() noexcept {
        if (displaced() && !is(Mistake::confirms_acks_when_displaced)) {
            return make_error_code(belay::QueueErrc::displaced);
        }
        lent_ = false;
        if (is(Mistake::ack_fails)) return make_error_code(belay::QueueErrc::corrupt);
        if (is(Mistake::keeps_on_ack)) return {};
        is(Mistake::ack_drops_newest) ? held_.pop_back() : held_.pop_front();
        if (is(Mistake::ack_drops_two) && held_.size() == 2) held_.pop_front();
        if (!is(Mistake::brings_back_acknowledged)) save();
        return {};
    }
    void nack() noexcept {
        lent_ = false;
        if (is(Mistake::loses_on_nack)) held_.pop_front();
        if (is(Mistake::doubles_on_nack)) held_.push_front(held_.front());
        if (is(Mistake::nack_puts_last) && held_.size() > 1) {
            held_.push_back(std::move(held_.front()));
            held_.pop_front();
        }
        if (is(Mistake::loses_in_unwinding) && std::uncaught_exceptions() > 0) held_.pop_front();
        save();
    }
    std::size_t size() const noexcept {
        const bool less = is(Mistake::leaves_out_what_is_leased) && lent_;
        const bool more = is(Mistake::size_off_by_one) && held_.size() == 3;
        return held_.size() - less + more;
    }
    std::size_t capacity() const noexcept { return is(Mistake::no_capacity) ? 0 : capacity_; }

private:
    bool take(std::string&& value) noexcept {
        held_.push_back(std::move(value));
        if (is(Mistake::push_moves_what_is_leased)) shown_ = held_.back();
        save();
        return true;
    }
    void save() noexcept { *disk_ = held_; }
    [[nodiscard]] bool displaced() noexcept {
        if (*path_ != disk_) was_displaced_ = true;
        return *path_ != disk_ || (is(Mistake::stays_displaced) && was_displaced_);
    }

    std::shared_ptr<Disk> disk_;
    const std::shared_ptr<Disk>* path_;
    bool was_displaced_ = false;
    Disk held_;
    std::string shown_;
    bool lent_ = false;
    std::size_t capacity_ = space;
};

/// The faults that check::storage finds in it, also after it was opened again.
template <Mistake mistake>
std::optional<belay::check::StorageFault> fault_of(belay::check::StorageOptions options = {}) {
    using Storage = BrokenStorage<mistake>;
    using Disk = typename Storage::Disk;
    std::shared_ptr<Disk> disk, away;
    return belay::check::storage(
        [&] {
            disk = std::make_shared<Disk>();
            return Storage{disk, disk};
        },
        [](std::uint64_t i) { return std::to_string(i); },
        [&] {
            return Storage{disk, disk};
        },
        [&](bool goes) {
            if (goes) away = disk;
            disk = goes ? std::make_shared<Disk>(*away) : away;
        },
        options);
}

}  // namespace belay_test
