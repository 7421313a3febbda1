// SPDX-License-Identifier: MIT
/// \file tests/support/journal/journal_model.hpp
/// A script of calls on a journal on a simulated disk, and a plain model of the operations that
/// must survive.
#pragma once

#include <algorithm>
#include <array>
#include <belay/journal/journal.hpp>
#include <belay/sim/disk.hpp>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "support/catch.hpp"

namespace belay_test {

using SimJournal = belay::Journal<belay::sim::Disk>;

/// The segments are small, so that a short script makes many of them.
inline belay::JournalOptions small_journal(std::uint64_t seed) {
    return {.segment_bytes = 4096, .record_bytes_max = 1024, .seed = belay::Seed{seed}};
}

/// The path of a segment of the journal in "q".
inline std::string segment_file(std::uint64_t index) {
    return "q/" + belay::journal_format::segment_name(index);
}

/// The body of operation `number`: of any length, and different in every run.
///
/// With `even`, the body has one of two lengths, whose difference is that of an opening. The bytes
/// that a crash left are then exactly after the end of the records of the next run.
inline belay::Bytes body_of(std::uint64_t number, std::uint32_t salt, bool even = false) {
    belay::Random bits{belay::Seed{number * 1000003 + salt}};
    const std::uint64_t draw = bits();
    const std::size_t length = even             ? draw % 2 * 32
                               : draw % 16 == 0 ? 0
                               : draw % 16 == 1 ? 700
                                                : draw % 200;
    belay::Bytes body(length);
    for (std::byte& b : body) b = static_cast<std::byte>(bits());
    return body;
}

/// The state that must hold after a crash, followed call by call.
class JournalModel {
public:
    JournalModel(belay::sim::Disk& disk, std::uint64_t seed) : disk_{disk}, even_{seed % 3 == 0} {
        options = small_journal(seed);
        if (seed % 4 == 0) options.flush = belay::Flush::none;
    }

    enum class Call { append, commit, flush, ack, keep, pin, reopen };

    /// The options of the next opening.
    belay::JournalOptions options;

    /// Makes a call. Returns false if it failed, as all calls do after the power failed.
    bool call(Call what, std::uint64_t draw) {
        if (!journal_ && !open()) return false;
        switch (what) {
            case Call::append: {
                const std::uint64_t number = journal_->last() + 1;
                taken_[number] = journal_->salt();
                taken_max_ = number;
                const auto got = journal_->append(body_of(number, journal_->salt(), even_));
                return got && *got == number;
            }
            case Call::commit: {
                const Promise promise = now();
                if (journal_->commit()) return false;
                synced_ = promise;
                if (options.flush == belay::Flush::group) flushed_ = promise;
                return true;
            }
            case Call::flush: {
                const Promise promise = now();
                if (journal_->flush()) return false;
                synced_ = flushed_ = promise;
                return !journal_->unflushed();
            }
            case Call::ack: {
                const std::uint64_t up_to =
                    journal_->base() - 1 + draw % (journal_->last() - journal_->base() + 2);
                acked_ = std::max(acked_, up_to);
                return !journal_->ack(up_to);
            }
            case Call::keep: {
                notes_.push_back(note_of(draw));
                return !journal_->keep(notes_.back()) && kept_is(*journal_, notes_.back());
            }
            case Call::pin: {
                belay::Id id = belay::no_id;
                id[0] = static_cast<std::byte>(1 + draw % 3);
                pin_tried_ = id;
                if (journal_->pin_store(id)) return false;
                pin_ = id;
                return true;
            }
            default: {
                journal_.reset();
                if (!open()) return false;
                return true;
            }
        }
    }

    /// The process has ended, with or without a loss of power.
    void drop_process() { journal_.reset(); }

    /// Opens the journal again, after the end of its process or a loss of power, and checks
    /// everything. Returns false, and sets a message, if something is wrong.
    bool recover(bool power_was_lost = true) {
        auto opened = SimJournal::open(disk_, "q", options);
        if (!opened) return wrong("open: " + opened.error().message());
        journal_.emplace(std::move(*opened));
        SimJournal& j = *journal_;
        if (opened_once_) {
            if (j.journal_id() != id_) return wrong("another journal");
            if (j.run() <= run_) return wrong("the run did not grow");
        }
        const Promise& promise = power_was_lost ? flushed_ : synced_;
        if (j.last() < promise.last) return wrong("a durable operation is lost");
        if (j.last() > taken_max_) return wrong("an operation from nowhere");
        if (j.base() - 1 > acked_) return wrong("acknowledged by nobody");
        if (j.base() - 1 < promise.acked) return wrong("an acknowledged operation came back");
        if (j.durable() != j.last() || j.unflushed()) {
            return wrong("what was recovered is not durable");
        }
        bool noted = false;
        for (std::size_t i = promise.notes; i < notes_.size(); ++i) {
            noted = noted || kept_is(j, notes_[i]);
        }
        if (!noted) return wrong("a wrong note");
        if (j.store_pin() != pin_ && j.store_pin() != pin_tried_) return wrong("a wrong pin");
        if (!contents_match(j)) return false;
        // From here on the model has the values of the journal.
        remember(j);
        return true;
    }

    bool open() {
        auto opened = SimJournal::open(disk_, "q", options);
        if (!opened) return false;
        journal_.emplace(std::move(*opened));
        remember(*journal_);
        return true;
    }

    SimJournal& journal() { return *journal_; }
    /// A number for the state that must survive a loss of power.
    [[nodiscard]] std::uint64_t promised() const {
        std::uint64_t sum = belay::part::crc32c(notes_[flushed_.notes]);
        for (const std::uint64_t n :
             {flushed_.last, flushed_.acked, std::uint64_t{belay::part::crc32c(pin_)}}) {
            sum = belay::detail::mix64(sum ^ n);
        }
        return sum;
    }
    [[nodiscard]] const std::string& message() const { return message_; }

private:
    /// The state that must survive, according to the calls that returned.
    struct Promise {
        std::uint64_t last = 0;
        std::uint64_t acked = 0;
        std::size_t notes = 0;  // the present note has at least this index
    };

    [[nodiscard]] Promise now() const {
        return {journal_->last(), journal_->base() - 1, notes_.size() - 1};
    }
    static belay::Bytes note_of(std::uint64_t draw) {
        belay::Bytes note(draw % 8 == 0 ? 0 : draw % 8 == 1 ? 512 : draw % 100);
        for (std::byte& b : note) b = static_cast<std::byte>(++draw * 37);
        return note;
    }
    static bool kept_is(const SimJournal& j, const belay::Bytes& note) {
        const belay::BytesView kept = j.kept();
        return std::equal(kept.begin(), kept.end(), note.begin(), note.end());
    }

    bool wrong(const std::string& what) {
        message_ = what;
        return false;
    }

    bool contents_match(SimJournal& j) {
        const auto first = j.check(j.base() - 1);
        if (!first) return wrong("no check");
        if (checks_.contains(j.base() - 1) && *first != checks_.at(j.base() - 1)) {
            return wrong("another history");
        }
        std::uint64_t check = *first;
        for (std::uint64_t n = j.base(); n <= j.last(); ++n) {
            const std::uint32_t salt = taken_.at(n);
            if (j.salt_of(n) != salt) return wrong("a wrong salt");
            const belay::Bytes expected = body_of(n, salt, even_);
            const auto body = j.read(n);
            if (!body) return wrong("read: " + body.error().message());
            if (!std::equal(body->begin(), body->end(), expected.begin(), expected.end())) {
                return wrong("a wrong body");
            }
            check = belay::journal_format::next_check(check, expected, salt);
            // Other checks each read from a mark on, so a few of them are enough.
            if (n != j.last() && n % 5 != 0) continue;
            const auto reported = j.check(n);
            if (!reported || *reported != check) return wrong("a wrong check");
        }
        return true;
    }

    void remember(SimJournal& j) {
        opened_once_ = true;
        id_ = j.journal_id();
        run_ = j.run();
        taken_max_ = j.last();
        acked_ = j.base() - 1;
        notes_.assign(1, belay::Bytes(j.kept().begin(), j.kept().end()));
        synced_ = flushed_ = now();
        pin_ = pin_tried_ = j.store_pin();
        taken_.erase(taken_.upper_bound(j.last()), taken_.end());
        checks_.clear();
        std::uint64_t check = *j.check(j.base() - 1);
        checks_[j.base() - 1] = check;
        for (std::uint64_t n = j.base(); n <= j.last(); ++n) {
            check = belay::journal_format::next_check(check, *j.read(n), j.salt_of(n));
            checks_[n] = check;
        }
    }

    belay::sim::Disk& disk_;
    bool even_;
    std::optional<SimJournal> journal_;
    std::string message_;

    bool opened_once_ = false;
    belay::Id id_{};
    std::uint32_t run_ = 0;
    Promise synced_;   // survives the end of the process
    Promise flushed_;  // survives a loss of power
    std::uint64_t taken_max_ = 0;
    std::uint64_t acked_ = 0;
    std::vector<belay::Bytes> notes_{{}};  // since the opening; the first is the note of that time
    belay::Id pin_{};
    belay::Id pin_tried_{};
    std::map<std::uint64_t, std::uint32_t> taken_;   // number -> salt
    std::map<std::uint64_t, std::uint64_t> checks_;  // of the operations at the last opening
};

using JournalScript = std::vector<std::pair<JournalModel::Call, std::uint64_t>>;

/// A workload: calls drawn from a seed.
inline JournalScript make_script(std::uint64_t seed, std::size_t calls) {
    belay::Random bits{belay::Seed{seed}};
    JournalScript script;
    for (std::size_t i = 0; i < calls; ++i) {
        using Call = JournalModel::Call;
        const std::uint64_t draw = bits() % 32;
        const Call call = draw < 17   ? Call::append
                          : draw < 22 ? Call::commit
                          : draw < 23 ? Call::flush
                          : draw < 27 ? Call::ack
                          : draw < 29 ? Call::keep
                          : draw < 30 ? Call::pin
                                      : Call::reopen;
        script.emplace_back(call, bits());
    }
    return script;
}

/// Runs a script until the power fails.
inline void run_script(JournalModel& model, const JournalScript& script) {
    for (const auto& [call, draw] : script) {
        if (!model.call(call, draw)) break;
    }
}

/// Everything that can be seen of a journal, as bytes.
inline belay::Bytes describe(SimJournal& j) {
    belay::Bytes all;
    const auto add = [&all](belay::BytesView bytes) {
        all.insert(all.end(), bytes.begin(), bytes.end());
    };
    const auto add_number = [&add](std::uint64_t n) {
        std::array<std::byte, 8> bytes;
        belay::store_le<std::uint64_t>(bytes.data(), n);
        add(bytes);
    };
    add(j.journal_id());
    add(j.store_pin());
    add_number(j.kept().size());
    add(j.kept());
    for (const std::uint64_t n :
         {std::uint64_t{j.run()}, std::uint64_t{j.salt()}, j.base(), j.last(), j.durable(),
          std::uint64_t{j.size()}, j.bytes(), std::uint64_t{j.unflushed() ? 1U : 0U},
          j.report().operations, j.report().truncated_bytes, j.report().truncated_offset,
          std::uint64_t{j.report().created ? 1U : 0U}}) {
        add_number(n);
    }
    add(belay::as_bytes(j.report().truncated_path));
    for (std::uint64_t n = j.base() - 1; n <= j.last(); ++n) {
        const auto check = j.check(n);
        add_number(check ? *check : static_cast<std::uint64_t>(check.error().value()));
        if (n < j.base()) continue;
        add_number(j.salt_of(n));
        const auto body = j.read(n);
        add_number(body ? body->size() : 0);
        if (body) add(*body);
    }
    return all;
}

}  // namespace belay_test
