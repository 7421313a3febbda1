// SPDX-License-Identifier: MIT
/// \file tests/support/journal_model.hpp
/// A script of calls on a journal on a simulated disk, and a plain model of what must survive it.
#pragma once

#include <belay/queue/journal.hpp>
#include <belay/sim/disk.hpp>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "support/catch.hpp"

namespace belay_test {

using SimJournal = belay::Journal<belay::sim::Disk>;

/// Small segments, so that a short script rolls often.
inline belay::JournalOptions small_journal(std::uint64_t seed) {
    return {.segment_bytes = 4096, .record_bytes_max = 1024, .seed = belay::Seed{seed}};
}

/// The body of operation `number`: of any length, and different in every run.
///
/// `even`: of one of two lengths, whose difference is that of an opening: so what a crash left lies
/// just where the records of the next run end.
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

/// What must hold after a crash, followed call by call.
class JournalModel {
public:
    JournalModel(belay::sim::Disk& disk, std::uint64_t seed)
        : disk_{disk}, seed_{seed}, even_{seed % 3 == 0} {}

    enum class Call { append, sync, ack, pin, reopen };

    /// Makes a call; false once one failed, as all do after the power failed.
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
            case Call::sync: {
                const std::uint64_t acked = journal_->base() - 1;
                if (journal_->sync()) return false;
                durable_ = journal_->last();
                acked_durable_ = acked;
                return true;
            }
            case Call::ack: {
                const std::uint64_t up_to =
                    journal_->base() - 1 + draw % (journal_->last() - journal_->base() + 2);
                acked_ = std::max(acked_, up_to);
                return !journal_->ack(up_to);
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

    /// The process is gone, with or without the power.
    void drop_process() { journal_.reset(); }

    /// Opens the journal again and checks everything. False (with a message) if something is wrong.
    bool recover() {
        auto opened = SimJournal::open(disk_, "q", small_journal(seed_));
        if (!opened) return wrong("open: " + opened.error().message());
        journal_.emplace(std::move(*opened));
        SimJournal& j = *journal_;
        if (opened_once_) {
            if (j.journal_id() != id_) return wrong("another journal");
            if (j.run() <= run_) return wrong("the run did not grow");
        } else if (durable_ != 0) {
            return wrong("durable without an opening");
        }
        if (j.last() < durable_) return wrong("a durable operation is lost");
        if (j.last() > taken_max_) return wrong("an operation from nowhere");
        if (j.base() - 1 > acked_) return wrong("acknowledged by nobody");
        if (j.base() - 1 < acked_durable_) return wrong("an acknowledged operation came back");
        if (j.durable() != j.last()) return wrong("what was recovered is not durable");
        if (j.store_pin() != pin_ && j.store_pin() != pin_tried_) return wrong("a wrong pin");
        if (!contents_match(j)) return false;
        // From here on the journal's word is the model's.
        remember(j);
        return true;
    }

    bool open() {
        auto opened = SimJournal::open(disk_, "q", small_journal(seed_));
        if (!opened) return false;
        journal_.emplace(std::move(*opened));
        remember(*journal_);
        return true;
    }

    SimJournal& journal() { return *journal_; }
    [[nodiscard]] const std::string& message() const { return message_; }

private:
    bool wrong(const std::string& what) {
        message_ = what;
        return false;
    }

    bool contents_match(SimJournal& j) {
        std::optional<std::uint64_t> check;
        for (std::uint64_t n = j.base(); n <= j.last(); ++n) {
            const std::uint32_t salt = taken_.at(n);
            if (j.salt_of(n) != salt) return wrong("a wrong salt");
            const belay::Bytes expected = body_of(n, salt, even_);
            const auto body = j.read(n);
            if (!body) return wrong("read: " + body.error().message());
            if (!std::equal(body->begin(), body->end(), expected.begin(), expected.end())) {
                return wrong("a wrong body");
            }
            const auto before = j.check(n - 1);
            const auto after = j.check(n);
            if (!before || !after) return wrong("no check");
            if (check && *check != *before) return wrong("the checks do not chain");
            if (*after != belay::next_check(*before, expected, salt)) return wrong("a wrong check");
            check = *after;
        }
        if (checks_.contains(j.base() - 1)) {
            const auto first = j.check(j.base() - 1);
            if (!first || *first != checks_.at(j.base() - 1)) return wrong("another history");
        }
        return true;
    }

    void remember(SimJournal& j) {
        opened_once_ = true;
        id_ = j.journal_id();
        run_ = j.run();
        durable_ = taken_max_ = j.last();
        acked_ = acked_durable_ = j.base() - 1;
        pin_ = pin_tried_ = j.store_pin();
        taken_.erase(taken_.upper_bound(j.last()), taken_.end());
        checks_.clear();
        for (std::uint64_t n = j.base() - 1; n <= j.last(); ++n) checks_[n] = *j.check(n);
    }

    belay::sim::Disk& disk_;
    std::uint64_t seed_;
    bool even_;
    std::optional<SimJournal> journal_;
    std::string message_;

    bool opened_once_ = false;
    belay::Id id_{};
    std::uint32_t run_ = 0;
    std::uint64_t durable_ = 0;
    std::uint64_t taken_max_ = 0;
    std::uint64_t acked_ = 0;
    std::uint64_t acked_durable_ = 0;
    belay::Id pin_{};
    belay::Id pin_tried_{};
    std::map<std::uint64_t, std::uint32_t> taken_;   // number -> salt
    std::map<std::uint64_t, std::uint64_t> checks_;  // of what was held at the last opening
};

/// A workload: calls drawn from a seed.
inline std::vector<std::pair<JournalModel::Call, std::uint64_t>> make_script(std::uint64_t seed,
                                                                             std::size_t calls) {
    belay::Random bits{belay::Seed{seed}};
    std::vector<std::pair<JournalModel::Call, std::uint64_t>> script;
    for (std::size_t i = 0; i < calls; ++i) {
        using Call = JournalModel::Call;
        const std::uint64_t draw = bits() % 32;
        const Call call = draw < 18   ? Call::append
                          : draw < 25 ? Call::sync
                          : draw < 29 ? Call::ack
                          : draw < 30 ? Call::pin
                                      : Call::reopen;
        script.emplace_back(call, bits());
    }
    return script;
}

}  // namespace belay_test
