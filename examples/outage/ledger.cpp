// SPDX-License-Identifier: MIT
#include "ledger.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <memory>

#include <belay/journal/journal_format.hpp>

#include "rejection.hpp"

namespace outage {

using belay::Id;
using belay::Progress;

namespace {

constexpr std::string_view first_line = "# belay outage ledger 1";

template <class T>
bool parse(std::string_view text, T& value, int base = 10) {
    const char* const end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, value, base);
    return error == std::errc{} && stop == end && !text.empty();
}

std::string hex64(std::uint64_t value) {
    char digits[16];
    const auto end = std::to_chars(digits, digits + sizeof digits, value, 16).ptr;
    return std::string(static_cast<std::size_t>(digits + sizeof digits - end), '0') +
           std::string{digits, end};
}

/// Takes the text up to the next `mark` off the front.
std::string_view take(std::string_view& text, char mark) {
    const std::string_view field = text.substr(0, text.find(mark));
    text.remove_prefix(std::min(text.size(), field.size() + 1));
    return field;
}

/// Undoes the mixing of belay::next_check.
constexpr std::uint64_t unmix(std::uint64_t z) {
    z = (z ^ (z >> 31U) ^ (z >> 62U)) * 0x319642B2D24D8EC3U;
    z = (z ^ (z >> 27U) ^ (z >> 54U)) * 0x96DE1B173F119089U;
    return z ^ (z >> 30U) ^ (z >> 60U);
}
static_assert(unmix(belay::detail::mix64(0x0123456789ABCDEFU)) == 0x0123456789ABCDEFU);

/// Returns whether `next` can be the check after `body`, for any of the 2^32 salts that a sender
/// may have used. It solves for the salt. Damage gives a number that is no salt.
bool follows(std::uint64_t previous, std::uint64_t next, belay::BytesView body) {
    constexpr std::uint64_t inverse = 0xF1DE83E19937733DU;
    static_assert(inverse * 0x9E3779B97F4A7C15U == 1);
    const std::uint64_t folded = (std::uint64_t{belay::part::crc32c(body)} << 32U) | body.size();
    const std::uint64_t salt = (unmix(next) - (previous ^ folded)) * inverse - 1;
    return salt <= 0xFFFFFFFFU;
}

}  // namespace

/// Reads a ledger file from its first line to its last.
class FileLedger::Reader {
public:
    explicit Reader(State& state) : state_{state} {}

    /// Returns: how many bytes are whole lines.   Throws: Rejection, with the line that is damaged.
    std::uint64_t read(std::string_view text) {
        const std::size_t whole = text.size();
        while (text.find('\n') != text.npos) {
            ++line_;
            if (const char* const wrong = check(take(text, '\n'))) {
                throw Rejection{
                    state_.path + ", line " + std::to_string(line_) + ": " + wrong +
                    "; restore the file from a backup, or move it away together with the "
                    "client's journal to start again"};
            }
        }
        return whole - text.size();
    }

private:
    /// Returns: what is wrong; null if nothing is.
    const char* check(std::string_view line) {
        if (line_ == 1) {
            return line == first_line ? nullptr : "this is not a ledger of the outage demo";
        }
        return line.substr(0, 1) == "#" ? remark(line) : operation(line);
    }

    const char* remark(std::string_view line) {
        take(line, ' ');
        const std::string_view kind = take(line, ' ');
        if (kind == "store") return from_hex(line, state_.store) ? nullptr : "damaged store id";
        if (kind != "adopt") return nullptr;
        Id sender{};
        Progress p{};
        const bool good = from_hex(take(line, ' '), sender) &&
                          from_hex(take(line, ' '), p.journal) &&
                          parse(take(line, ' '), p.attach) && parse(take(line, ' '), p.applied) &&
                          parse(line, p.check, 16);
        if (!good) return "damaged adoption of a journal";
        if (state_.sender != belay::no_id && sender != state_.sender)
            return "damaged: the ledger has a second sender";
        state_.sender = sender;
        state_.progress = p;
        return nullptr;
    }

    const char* operation(std::string_view line) {
        if (!state_.progress) return "damaged: an operation comes before the adoption of a journal";
        Progress& p = *state_.progress;
        std::uint64_t number = 0, attach = 0, check = 0;
        const bool good = parse(take(line, ' '), number) && parse(take(line, ' '), attach) &&
                          parse(take(line, '\t'), check, 16);
        if (!good) return "damaged: the line does not start with number, attach and check";
        if (number != p.applied + 1) return "damaged: the number does not follow the previous one";
        if (!follows(p.check, check, belay::as_bytes(line))) {
            return "damaged: the check does not match this line and the previous one";
        }
        p.applied = number;
        p.attach = attach;
        p.check = check;
        return nullptr;
    }

    State& state_;
    std::uint64_t line_ = 0;
};

FileLedger FileLedger::open(const std::string& directory) {
    make_directories(directory);
    const std::string path = directory + "/ledger.txt";
    auto lock = files.lock(directory + "/ledger.lock");
    if (!lock) {
        if (lock.error() != belay::QueueErrc::already_locked) {
            throw Rejection{trouble("lock", directory + "/ledger.lock", lock.error())};
        }
        throw Rejection{path + " is open in another server; end that one, or choose another --dir"};
    }
    if (!exists(path)) {
        belay::Random bits{belay::Seed{belay::entropy()}};
        const std::string head =
            std::string{first_line} + "\n# store " + to_hex(belay::make_id(bits)) + "\n";
        if (const std::error_code e = replace_file(path, head)) {
            throw Rejection{trouble("write", path, e)};
        }
    }
    const std::string text = read_file(path);
    auto file = files.open(path, belay::OpenMode::write);
    if (!file) throw Rejection{trouble("write", path, file.error())};

    auto state = std::make_unique<State>(
        State{.path = path, .lock = std::move(*lock), .file = std::move(*file)});
    state->size = Reader{*state}.read(text);
    if (state->store == belay::no_id) {
        throw Rejection{path + ": this is not a ledger of the outage demo; choose another --dir"};
    }
    state->cut_bytes = text.size() - state->size;
    if (state->cut_bytes != 0 &&
        (::truncate(path.c_str(), static_cast<off_t>(state->size)) != 0 || state->file.sync())) {
        throw Rejection{
            trouble("cut the torn last line off", path, {errno, std::generic_category()})};
    }
    return FileLedger{std::move(state)};
}

std::error_code FileLedger::adopt(const Id& sender, const Progress& p) {
    state_->unwritten += "# adopt " + to_hex(sender) + " " + to_hex(p.journal) + " " +
                         std::to_string(p.attach) + " " + std::to_string(p.applied) + " " +
                         hex64(p.check) + "\n";
    state_->sender = sender;
    state_->progress = p;
    return commit();
}

std::error_code FileLedger::apply(const Id&, const Progress& p, belay::BytesView operation) {
    const std::string_view line = belay::as_text(operation);
    if (line.find('\n') != line.npos) return std::make_error_code(std::errc::invalid_argument);
    state_->unwritten +=
        std::to_string(p.applied) + " " + std::to_string(p.attach) + " " + hex64(p.check) + "\t";
    state_->unwritten += line;
    state_->unwritten += '\n';
    state_->progress = p;
    return {};
}

std::error_code FileLedger::commit() {
    if (const std::error_code e =
            state_->file.write(state_->size, belay::as_bytes(state_->unwritten))) {
        return e;
    }
    state_->size += state_->unwritten.size();
    state_->unwritten.clear();
    return state_->file.sync();
}

static_assert(belay::LedgerLike<FileLedger>);

}  // namespace outage
