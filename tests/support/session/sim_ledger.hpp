// SPDX-License-Identifier: MIT
/// \file tests/support/session/sim_ledger.hpp
/// SimLedger: a LedgerLike on a simulated disk whose progress is derived from its records.
#pragma once

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <system_error>
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

/// The faults of a ledger that the tests plant.
struct LedgerFaults {
    bool commit_is_not_durable = false;  ///< commit() makes nothing durable
    bool record_first = false;           ///< the progress is durable before the effect
    bool effect_first = false;           ///< the effect is durable before the progress
    bool no_store_id = false;            ///< a recreated store has the old id
};

/// An append-only file of checksummed records: u32 crc, u32 length, kind, sender, progress, text.
class SimLedger {
public:
    /// A mode that only reads the records.
    explicit SimLedger(belay::sim::Disk& disk) : disk_{&disk} { failed_ = read(); }
    /// Reads the records, and makes them durable. `bits` make the id of a new store.
    SimLedger(belay::sim::Disk& disk, belay::Random& bits, LedgerFaults faults = {})
        : disk_{&disk}, faults_{faults} {
        failed_ = read();
        if (!failed_) failed_ = write_all(bits);
    }

    /// Returns why the ledger was not opened. All other calls fail then.
    [[nodiscard]] std::error_code failed() const noexcept { return failed_; }

    [[nodiscard]] const belay::Id& store_id() const noexcept { return store_; }
    [[nodiscard]] std::optional<belay::Progress> progress(const belay::Id& sender) const {
        const auto it = progress_.find(sender);
        return it == progress_.end() ? std::nullopt : std::optional{it->second};
    }
    std::error_code adopt(const belay::Id& sender, const belay::Progress& p) {
        if (failed_) return failed_;
        append(record('A', sender, p, ""));
        progress_[sender] = p;
        return flush();
    }
    std::error_code apply(const belay::Id& sender, const belay::Progress& p,
                          belay::BytesView operation) {
        if (failed_) return failed_;
        const std::string text{belay::as_text(operation)};
        if (faults_.record_first || faults_.effect_first) {
            // Two records in the place of one: a crash may be between them.
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
    std::error_code commit() {
        if (failed_) return failed_;
        return faults_.commit_is_not_durable ? write_only() : flush();
    }

    /// All operations that took effect, as far as this process has read.
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

    std::error_code read() {
        auto file = disk_->open(path(), belay::OpenMode::read);
        if (!file) return is_absent(file.error()) ? std::error_code{} : file.error();
        const auto length = file->size();
        if (!length) return length.error();
        found_.resize(static_cast<std::size_t>(*length));
        const auto got = file->read(0, found_);
        if (!got) return got.error();
        found_.resize(*got);
        belay::BytesView rest{found_};
        while (rest.size() >= 8) {
            const auto n = belay::load_le<std::uint32_t>(rest.data() + 4);
            if (n < 57 || n > rest.size() - 8) break;
            const auto check = belay::load_le<std::uint32_t>(rest.data());
            if (check != belay::part::crc32c(rest.subspan(4, 4 + n))) break;
            take(rest.subspan(8, n));
            rest = rest.subspan(8 + n);
            size_ += 8 + n;
        }
        return {};
    }
    [[nodiscard]] static bool is_absent(const std::error_code& error) {
        return error == std::errc::no_such_file_or_directory;
    }
    /// Writes the records that were read again, because after a failed sync another one succeeds
    /// without an effect. A name may not be durable, either.
    std::error_code write_all(belay::Random& bits) {
        const bool is_new = store_ == belay::no_id;
        if (is_new) {
            store_ = faults_.no_store_id ? belay::Id{std::byte{7}} : belay::make_id(bits);
            append(record('S', store_, {}, ""));
        }
        const auto mode = is_new ? belay::OpenMode::replace : belay::OpenMode::write;
        auto file = disk_->open(path(), mode);
        if (!file) return file.error();
        // Whole records after a torn one must not become valid when the gap is filled.
        std::fill(found_.begin() + static_cast<std::ptrdiff_t>(size_), found_.end(), std::byte{});
        const std::error_code e = is_new ? write(*file) : file->write(0, found_);
        found_.clear();
        if (e) return e;
        if (const std::error_code error = file->sync()) return error;
        return disk_->sync_directory("data");
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
    LedgerFaults faults_{};
    std::error_code failed_{};
    belay::Id store_{};
    std::uint64_t size_ = 0;
    belay::Bytes found_;  ///< the content at the opening
    belay::Bytes pending_;
    std::map<belay::Id, belay::Progress> progress_;
    std::vector<Effect> effects_;
};

}  // namespace belay_test
