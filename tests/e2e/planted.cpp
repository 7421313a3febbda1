// SPDX-License-Identifier: MIT
// The outage demo over a ledger with one bug, which the environment variable OUTAGE_PLANT names.
#include <cstdlib>
#include <cstring>
#include <optional>

#include "app.hpp"

namespace {

using belay::BytesView;
using belay::Id;
using belay::Progress;

/// Forgets one line, and continues as if it had stored it.
struct DroppingLedger : outage::FileLedger {
    static DroppingLedger open(const std::string& dir) {
        return {outage::FileLedger::open(dir), {}};
    }
    [[nodiscard]] std::optional<Progress> progress(const Id& sender) const {
        return dropped_ ? dropped_ : FileLedger::progress(sender);
    }
    [[nodiscard]] std::error_code apply(const Id& sender, const Progress& p, BytesView operation) {
        dropped_.reset();
        if (p.applied != 700) return FileLedger::apply(sender, p, operation);
        dropped_ = p;
        return {};
    }
    std::optional<Progress> dropped_{};
};

/// Reports every line as durable, and writes only when it must.
struct LazyLedger : outage::FileLedger {
    static LazyLedger open(const std::string& dir) { return {outage::FileLedger::open(dir)}; }
    [[nodiscard]] std::error_code commit() {
        return ++commits_ % 16 == 0 ? FileLedger::commit() : std::error_code{};
    }
    unsigned commits_ = 0;
};

}  // namespace

int main(int count, char** words) {
    const char* const plant = std::getenv("OUTAGE_PLANT");
    const auto planted = [&](const char* name) {
        return plant != nullptr && std::strcmp(plant, name) == 0;
    };
    if (planted("drop-record")) return outage::run<DroppingLedger>(count, words);
    if (planted("skip-commit")) return outage::run<LazyLedger>(count, words);
    return 3;
}
