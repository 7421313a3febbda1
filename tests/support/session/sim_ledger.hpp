// SPDX-License-Identifier: MIT
/// \file tests/support/session/sim_ledger.hpp
/// SimLedger: a LedgerLike on a simulated disk whose progress is derived from its records.
#pragma once

#include <map>
#include <string>
#include <vector>

#include <belay/core/crc32c.hpp>
#include <belay/session/ledger_like.hpp>
#include <belay/sim/disk.hpp>

namespace belay_test {

/// One operation that took effect.
struct Effect {
    belay::Id journal{};
    std::uint64_t number = 0;
    std::string text;
};

/// How a ledger can be wrong; the tests plant these.
struct LedgerFaults {
    bool commit_is_not_durable = false;  ///< commit() makes nothing durable
    bool record_first = false;           ///< the progress is durable before the effect
    bool effect_first = false;           ///< the effect is durable before the progress
    bool no_store_id = false;            ///< a recreated store has the old id
};

/// An append-only file of checksummed records: u32 crc, u32 length, kind, sender, progress, text.
class SimLedger {
public:
    /// Reads what is there. `bits` make the id of a new store.
    SimLedger(belay::sim::Disk& disk, belay::Random& bits, LedgerFaults faults = {})
        : disk_{&disk}, faults_{faults} {
        read();
        if (store_ != belay::no_id) return;
        store_ = faults.no_store_id ? belay::Id{std::byte{7}} : belay::make_id(bits);
        auto file = disk.open(path(), belay::OpenMode::replace);
        if (!file) return;
        size_ = 0;
        append(record('S', store_, {}, ""));
        write(*file);
        static_cast<void>(file->sync());
        static_cast<void>(disk.sync_directory("data"));
    }

    [[nodiscard]] const belay::Id& store_id() const noexcept { return store_; }
    [[nodiscard]] std::optional<belay::Progress> progress(const belay::Id& sender) const {
        const auto it = progress_.find(sender);
        return it == progress_.end() ? std::nullopt : std::optional{it->second};
    }
    std::error_code adopt(const belay::Id& sender, const belay::Progress& p) {
        append(record('A', sender, p, ""));
        progress_[sender] = p;
        return flush();
    }
    std::error_code apply(const belay::Id& sender, const belay::Progress& p,
                          belay::BytesView operation) {
        const std::string text{belay::as_text(operation)};
        if (faults_.record_first || faults_.effect_first) {
            // Two records where one is right: a crash may fall between them.
            const bool effect = faults_.effect_first;
            append(record(effect ? 'E' : 'P', sender, p, effect ? text : ""));
            if (const auto e = flush()) return e;
            append(record(effect ? 'P' : 'E', sender, p, effect ? "" : text));
        } else {
            append(record('O', sender, p, text));
        }
        progress_[sender] = p;
        effects_.push_back({p.journal, p.applied, text});
        return {};
    }
    std::error_code commit() { return faults_.commit_is_not_durable ? write_only() : flush(); }

    /// Everything that took effect, as far as this process knows.
    [[nodiscard]] const std::vector<Effect>& effects() const noexcept { return effects_; }
    [[nodiscard]] static std::string path() { return "data/ledger"; }

private:
    static belay::Bytes record(char kind, const belay::Id& sender, const belay::Progress& p,
                               std::string_view text) {
        belay::Bytes b(8 + 1 + 16 + 16 + 24 + text.size());
        std::byte* const q = b.data();
        q[8] = static_cast<std::byte>(kind);
        std::copy(sender.begin(), sender.end(), q + 9);
        std::copy(p.journal.begin(), p.journal.end(), q + 25);
        belay::store_le<std::uint64_t>(q + 41, p.attach);
        belay::store_le<std::uint64_t>(q + 49, p.applied);
        belay::store_le<std::uint64_t>(q + 57, p.check);
        const belay::BytesView t = belay::as_bytes(text);
        std::copy(t.begin(), t.end(), q + 65);
        belay::store_le<std::uint32_t>(q + 4, static_cast<std::uint32_t>(b.size() - 8));
        belay::store_le<std::uint32_t>(q, belay::part::crc32c(belay::BytesView{b}.subspan(4)));
        return b;
    }
    void append(const belay::Bytes& b) { pending_.insert(pending_.end(), b.begin(), b.end()); }

    std::error_code write(belay::sim::Disk::File& file) {
        const std::error_code e = file.write(size_, pending_);
        if (e) return e;
        size_ += pending_.size();
        pending_.clear();
        return {};
    }
    std::error_code write_only() {
        auto file = disk_->open(path(), belay::OpenMode::write);
        return file ? write(*file) : file.error();
    }
    std::error_code flush() {
        auto file = disk_->open(path(), belay::OpenMode::write);
        if (!file) return file.error();
        if (const std::error_code e = write(*file)) return e;
        return file->sync();
    }

    void read() {
        auto file = disk_->open(path(), belay::OpenMode::read);
        if (!file) return;
        const auto length = file->size();
        if (!length) return;
        belay::Bytes all(static_cast<std::size_t>(*length));
        const auto got = file->read(0, all);
        if (!got) return;
        all.resize(*got);
        belay::BytesView rest{all};
        while (rest.size() >= 8) {
            const auto n = belay::load_le<std::uint32_t>(rest.data() + 4);
            if (n < 57 || n > rest.size() - 8) break;
            const auto check = belay::load_le<std::uint32_t>(rest.data());
            if (check != belay::part::crc32c(rest.subspan(4, 4 + n))) break;
            take(rest.subspan(8, n));
            rest = rest.subspan(8 + n);
            size_ += 8 + n;
        }
        // Whole records behind a torn one must not rise again when the gap is filled.
        if (!rest.empty()) {
            auto writable = disk_->open(path(), belay::OpenMode::write);
            if (!writable) return;
            static_cast<void>(writable->write(size_, belay::Bytes(rest.size())));
            static_cast<void>(writable->sync());
        }
    }
    void take(belay::BytesView b) {
        belay::Id sender;
        std::copy(b.begin() + 1, b.begin() + 17, sender.begin());
        belay::Progress p;
        std::copy(b.begin() + 17, b.begin() + 33, p.journal.begin());
        p.attach = belay::load_le<std::uint64_t>(b.data() + 33);
        p.applied = belay::load_le<std::uint64_t>(b.data() + 41);
        p.check = belay::load_le<std::uint64_t>(b.data() + 49);
        const char kind = static_cast<char>(b[0]);
        if (kind == 'S') store_ = sender;
        if (kind == 'A' || kind == 'O' || kind == 'P') progress_[sender] = p;
        if (kind == 'O' || kind == 'E') {
            effects_.push_back({p.journal, p.applied, std::string{belay::as_text(b.subspan(57))}});
        }
    }

    belay::sim::Disk* disk_;
    LedgerFaults faults_;
    belay::Id store_{};
    std::uint64_t size_ = 0;
    belay::Bytes pending_;
    std::map<belay::Id, belay::Progress> progress_;
    std::vector<Effect> effects_;
};

}  // namespace belay_test
