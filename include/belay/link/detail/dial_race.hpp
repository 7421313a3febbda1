// SPDX-License-Identifier: MIT
/// \file belay/link/detail/dial_race.hpp
/// DialRace: decides which addresses of a name are dialled, and when.
/// DialMemory: what a transport remembers of the addresses of names between two dials.
#pragma once

#include <algorithm>     // std::find_if, std::rotate
#include <array>         // std::array
#include <chrono>        // std::chrono::milliseconds, std::chrono::minutes
#include <cstddef>       // std::size_t
#include <cstdint>       // std::uint8_t, std::uint16_t, std::uint32_t
#include <optional>      // std::optional
#include <string>        // std::string
#include <string_view>   // std::string_view
#include <system_error>  // std::make_error_code
#include <utility>       // std::move
#include <vector>        // std::vector

#include <belay/core/assert.hpp>
#include <belay/core/detail/memory.hpp>
#include <belay/core/failure.hpp>
#include <belay/core/order.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The attempts of one dial, to addresses in a given order. It has no clock, sockets or allocation.
///
/// The next attempt starts `gap` after the last one, or at once when an attempt fails. The first
/// that connects wins; of several in one call, the first in the order. The losers are closed before
/// the win is reported. If `open_max` attempts are open when the next is due, the oldest is closed
/// after 1 s at the earliest. So silent addresses cannot keep a dial from the others. The last
/// `open_max` addresses are never given up. A DialMemory puts the silent ones there at the next
/// dial.
///
/// Call next() until it returns `wait`, then again at deadline() and after connected() or failed().
///
/// Thread safety: distinct objects safe.
/// Source:        RFC 8305, sections 5 and 8, whose recommended delay is 250 ms.
class DialRace {
public:
    static constexpr std::size_t attempts_max = 16;
    static constexpr std::size_t open_max = 4;
    static constexpr Duration gap = std::chrono::milliseconds{250};

    enum class Kind : std::uint8_t {
        wait,   ///< nothing to do until deadline()
        start,  ///< start the attempt; it is open from now on
        close,  ///< close the attempt, which may already have ended; ignore its result
        won,    ///< the dial has succeeded with this attempt; final
        failed  ///< the dial has failed with failure(); final
    };
    struct Step {
        Kind kind = Kind::wait;
        std::size_t attempt = 0;
        friend constexpr bool operator==(const Step&, const Step&) noexcept = default;
    };

    /// Dials the first `attempts_max` of so many addresses.
    explicit DialRace(std::size_t addresses) noexcept : count_{smaller(addresses, attempts_max)} {}

    /// Returns what the caller must do now.   Complexity: O(attempts_max).
    [[nodiscard]] Step next(Instant now) noexcept {
        now_ = larger(now_, now);
        if (winner_ != none) return finish();
        if (started_ < count_ && next_start() <= now_) {
            return open_ == open_max ? give_up_oldest() : start();
        }
        return {open_ == 0 && started_ == count_ ? Kind::failed : Kind::wait};
    }
    /// Reports that an open attempt has connected. Attempts that are not open are ignored.
    void connected(std::size_t attempt) noexcept {
        if (is_open(attempt)) winner_ = smaller(winner_, attempt);
    }
    /// Reports that an open attempt has failed. Attempts that are not open are ignored.
    void failed(std::size_t attempt, const Failure& failure) noexcept {
        if (!is_open(attempt)) return;
        end(attempt, failure);
        due_ = true;
    }
    /// Returns the time of the next call of next(), unless an attempt ends before.
    [[nodiscard]] Instant deadline() const noexcept {
        if (winner_ != none) return always;
        if (started_ < count_) return next_start();
        // One more call finds out whether the last attempt is silent.
        return open_ != 0 && now_ < gap_ends_ ? gap_ends_ : never;
    }

    /// Returns the number of attempts so far.
    [[nodiscard]] std::size_t started() const noexcept { return started_; }
    [[nodiscard]] std::size_t open() const noexcept { return open_; }
    [[nodiscard]] bool is_open(std::size_t attempt) const noexcept {
        return attempt < started_ && attempts_[attempt].state == State::open;
    }
    [[nodiscard]] bool has_won() const noexcept { return winner_ != none; }
    /// Pre: has_won().
    [[nodiscard]] std::size_t winner() const noexcept { return winner_; }
    /// Returns the time of the last call of next().
    [[nodiscard]] Instant now() const noexcept { return now_; }
    /// Returns whether the attempt did not answer.
    /// - It was given up, or it timed out.
    /// - A later attempt won that began at least `gap` after it.
    /// - It has been open for `gap`.
    [[nodiscard]] bool was_silent(std::size_t attempt) const noexcept {
        const Attempt& a = attempts_[attempt];
        if (a.state == State::open && attempt != winner_) return gap <= elapsed(a.began, now_);
        return a.failure.cause == Cause::timed_out;
    }
    /// Returns why a closed attempt failed; empty for a loser that had time left.
    [[nodiscard]] const Failure& failure_of(std::size_t attempt) const noexcept {
        return attempts_[attempt].failure;
    }
    /// Returns the most severe failure of all attempts; of equal ones, the first. One of this side
    /// counts only if all are: often, it has no route to one family of addresses.
    [[nodiscard]] Failure failure() const noexcept {
        Failure theirs, ours;
        for (std::size_t i = 0; i < started_; ++i) {
            const Failure& one = attempts_[i].failure;
            Failure& worst = one.origin == Failure::Origin::local ? ours : theirs;
            worst = more_severe(worst, one);
        }
        return theirs.cause != Cause::none ? theirs : ours;
    }

private:
    static constexpr std::size_t none = attempts_max;
    /// The least time of an attempt before it is given up for another address.
    static constexpr Duration time_min = open_max * gap;

    enum class State : std::uint8_t { open, ended };
    struct Attempt {
        State state = State::ended;
        Instant began = never;
        Failure failure{};
    };

    [[nodiscard]] static Failure silence() noexcept {
        return Failure::from(std::make_error_code(std::errc::timed_out));
    }
    /// Returns when the next attempt may start.   Pre: one is left.
    [[nodiscard]] Instant next_start() const noexcept {
        const Instant due = due_ ? always : gap_ends_;
        return open_ < open_max ? due : larger(due, after(attempts_[oldest()].began, time_min));
    }
    [[nodiscard]] std::size_t oldest() const noexcept {
        std::size_t i = 0;
        while (!is_open(i)) ++i;
        BELAY_INVARIANT(i < started_, "DialRace: an attempt must be open");
        return i;
    }
    [[nodiscard]] Step start() noexcept {
        const std::size_t i = started_++;
        attempts_[i] = {State::open, now_, {}};
        ++open_;
        due_ = false;
        gap_ends_ = after(now_, gap);
        return {Kind::start, i};
    }
    [[nodiscard]] Step give_up_oldest() noexcept {
        const std::size_t i = oldest();
        end(i, silence());
        return {Kind::close, i};
    }
    /// Closes the losers, one in each call.
    [[nodiscard]] Step finish() noexcept {
        for (std::size_t i = 0; i < started_; ++i) {
            if (i == winner_ || !is_open(i)) continue;
            const bool silent = gap <= elapsed(attempts_[i].began, attempts_[winner_].began);
            end(i, silent ? silence() : Failure{});
            return {Kind::close, i};
        }
        return {Kind::won, winner_};
    }
    void end(std::size_t i, const Failure& failure) noexcept {
        attempts_[i].state = State::ended;
        attempts_[i].failure = failure;
        --open_;
    }

    std::array<Attempt, attempts_max> attempts_{};
    std::size_t count_;
    std::size_t started_ = 0;
    std::size_t open_ = 0;
    std::size_t winner_ = none;
    bool due_ = true;  // the next attempt need not wait for the end of the gap
    Instant gap_ends_ = never;
    Instant now_ = always;
};

/// An address and a port, as the key of a DialMemory.   Thread safety: a plain value.
struct DialAddress {
    std::array<unsigned char, 16> bytes{};  ///< IPv4: the first four
    std::uint32_t scope = 0;                ///< the scope of an IPv6 address
    std::uint16_t port = 0;
    bool is_v6 = false;

    friend constexpr bool operator==(const DialAddress&, const DialAddress&) noexcept = default;
};

/// Remembers for one transport which addresses did not answer, where its next dial begins, and why
/// the last one failed.
///
/// Thread safety: that of the transport.
class DialMemory : public Counted {
public:
    static constexpr std::size_t entries_max = 64;
    /// How long a silent address is tried last, by default.
    static constexpr Duration default_time = std::chrono::minutes{10};

    /// Begins a dial of a name, so that text() is not that of an earlier one.
    void begin() noexcept { text_.clear(); }
    /// Returns the indices of `found` in the order in which to dial: first the addresses that are
    /// not remembered as silent, then the silent ones. In each part the families alternate, and
    /// begin with that of its first address. If the last dial failed with addresses left, the order
    /// begins with the first of those.
    /// Throws: std::bad_alloc.   Complexity: O(size of found * entries_max).
    [[nodiscard]] std::vector<std::size_t> order(const std::vector<DialAddress>& found,
                                                 Instant now) {
        std::erase_if(entries_, [now](const Entry& entry) { return entry.until <= now; });
        std::vector<std::size_t> order;
        order.reserve(found.size());
        for (const bool silent : {false, true}) append(found, silent, order);
        const auto next = std::find_if(order.begin(), order.end(),
                                       [&](std::size_t i) { return next_ && found[i] == *next_; });
        if (next != order.end()) std::rotate(order.begin(), next, order.end());
        return order;
    }

    /// Takes in the result of a dial of `dialled`, which are in the order of the race. For the
    /// text, `name_of(attempt)` returns the address of an attempt. Without memory, it forgets.
    template <class NameOf>
    void learn(const DialRace& race, const std::vector<DialAddress>& dialled, Duration silent_for,
               NameOf&& name_of) noexcept {
        // A dial without the memory is correct, and only slower.
        static_cast<void>(has_memory_for([&] {
            text_.clear();
            next_.reset();
            for (std::size_t i = 0; i < race.started(); ++i) {
                if (race.was_silent(i)) remember(dialled[i], race.now(), silent_for);
            }
            if (race.has_won()) return forget(dialled[race.winner()]);
            const std::size_t tried = first_unanswered(race);
            if (tried < dialled.size()) next_ = dialled[tried];
            for (std::size_t i = 0; i < race.started(); ++i) {
                if (i != 0) text_ += "; ";
                text_ += name_of(i);
                text_ += race.is_open(i) ? " no answer" : ' ' + race.failure_of(i).message();
            }
        }));
    }

    /// Returns the addresses that the last dial tried in vain, each with its own cause.
    [[nodiscard]] const std::string& text() const noexcept { return text_; }
    [[nodiscard]] std::size_t size() const noexcept { return entries_.size(); }

private:
    struct Entry {
        DialAddress address;
        Instant until = never;
    };

    [[nodiscard]] auto place_of(const DialAddress& address) noexcept {
        return std::find_if(entries_.begin(), entries_.end(),
                            [&](const Entry& entry) { return entry.address == address; });
    }
    /// Appends the addresses of one kind, with alternating families.
    void append(const std::vector<DialAddress>& found, bool silent,
                std::vector<std::size_t>& order) {
        const std::size_t first = order.size();
        std::vector<std::size_t> other;
        for (std::size_t i = 0; i < found.size(); ++i) {
            if ((place_of(found[i]) != entries_.end()) != silent) continue;
            const bool leads = order.size() == first || found[i].is_v6 == found[order[first]].is_v6;
            (leads ? order : other).push_back(i);
        }
        std::size_t at = first + 1;
        for (const std::size_t i : other) {
            order.insert(order.begin() + static_cast<std::ptrdiff_t>(smaller(at, order.size())), i);
            at += 2;
        }
    }
    /// Returns the first attempt that has not yet had its time.
    [[nodiscard]] static std::size_t first_unanswered(const DialRace& race) noexcept {
        std::size_t i = 0;
        while (i < race.started() && (!race.is_open(i) || race.was_silent(i))) ++i;
        return i;
    }
    void remember(const DialAddress& address, Instant now, Duration time) {
        forget(address);
        if (time <= Duration::zero()) return;
        if (entries_.size() == entries_max) entries_.erase(entries_.begin());
        entries_.push_back({address, after(now, time)});
    }
    void forget(const DialAddress& address) noexcept {
        const auto at = place_of(address);
        if (at != entries_.end()) entries_.erase(at);
    }

    std::vector<Entry> entries_;  // the oldest first
    std::optional<DialAddress> next_;
    std::string text_;
};

/// The DialMemory of a transport, which is made when the transport first dials a name.
///
/// Thread safety: that of the transport.
class OwnDialMemory {
public:
    OwnDialMemory() noexcept = default;
    // A copy of a transport is another transport.
    OwnDialMemory(const OwnDialMemory&) noexcept {}
    OwnDialMemory(OwnDialMemory&&) noexcept = default;
    OwnDialMemory& operator=(OwnDialMemory other) noexcept {
        memory_ = std::move(other.memory_);
        return *this;
    }
    ~OwnDialMemory() = default;

    /// Throws: std::bad_alloc.
    [[nodiscard]] const Ref<DialMemory>& get() {
        if (!memory_) memory_ = Ref<DialMemory>::make();
        return memory_;
    }
    /// Returns DialMemory::text(); empty if no name was dialled.
    [[nodiscard]] std::string_view text() const noexcept {
        return memory_ ? std::string_view{memory_->text()} : std::string_view{};
    }

private:
    Ref<DialMemory> memory_;
};

/// The race of one dial, with its addresses and the memory that it takes them to.
///
/// Thread safety: that of the transport.
template <class Address>
class DialPlan {
public:
    DialPlan(Ref<DialMemory> memory, Duration silent_for) noexcept
        : memory_{std::move(memory)}, silent_for_{silent_for} {
        BELAY_OPTION(silent_for.count() >= 0, "silent_for must be >= 0ns");
        memory_->begin();
    }

    /// Begins the race between the addresses of a name.   Throws: std::bad_alloc.
    template <class KeyOf>
    void begin(const std::vector<Address>& found, Instant now, KeyOf&& key_of) {
        std::vector<DialAddress> keys;
        keys.reserve(found.size());
        for (const Address& address : found) keys.push_back(key_of(address));
        for (const std::size_t i : memory_->order(keys, now)) {
            addresses_.push_back(found[i]);
            keys_.push_back(keys[i]);
        }
        race_.emplace(addresses_.size());
    }
    [[nodiscard]] bool begun() const noexcept { return race_.has_value(); }
    /// Carries out the steps of the race that are due, by `start(attempt)` and `close(attempt)`.
    /// Returns: whether it is over.   Pre: begun().   Throws: what the two throw.
    template <class Start, class Close>
    [[nodiscard]] bool run(Instant now, Start&& start, Close&& close) {
        for (;;) {
            const DialRace::Step step = race_->next(now);
            switch (step.kind) {
                case DialRace::Kind::wait:
                    return false;
                case DialRace::Kind::start:
                    start(step.attempt);
                    break;
                case DialRace::Kind::close:
                    close(step.attempt);
                    break;
                case DialRace::Kind::won:
                case DialRace::Kind::failed:
                    return true;
            }
        }
    }
    /// Pre: begun().
    [[nodiscard]] DialRace& race() noexcept { return *race_; }
    [[nodiscard]] Instant deadline() const noexcept { return race_ ? race_->deadline() : never; }
    [[nodiscard]] bool empty() const noexcept { return addresses_.empty(); }
    [[nodiscard]] Address& address_of(std::size_t attempt) noexcept { return addresses_[attempt]; }

    /// Passes the result to the memory. `text_of(address)` returns an address for people.
    template <class TextOf>
    void learn(TextOf&& text_of) noexcept {
        if (!race_) return;
        memory_->learn(*race_, keys_, silent_for_,
                       [&](std::size_t i) { return text_of(addresses_[i]); });
    }

private:
    const Ref<DialMemory> memory_;
    const Duration silent_for_;
    std::vector<Address> addresses_;  // in the order of the race
    std::vector<DialAddress> keys_;
    std::optional<DialRace> race_;
};

}}}  // namespace belay::detail
