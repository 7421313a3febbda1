// SPDX-License-Identifier: MIT
/// \file tests/support/room/planted_protocol.hpp
/// PlantedProtocol: a protocol with every optional member and one planted fault; Lines: its document.
#pragma once

#include <algorithm>
#include <cstdint>
#include <set>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <belay/core/result.hpp>
#include <belay/room/room_errc.hpp>
#include <belay/room/room_protocol_like.hpp>

namespace belay_test {

/// The lines of a text, without empty ones.
inline std::set<std::string, std::less<>> lines_of(belay::BytesView text) {
    std::set<std::string, std::less<>> lines;
    std::string line;
    for (const char c : std::string{belay::as_text(text)} + "\n") {
        if (c != '\n') {
            line += c;
        } else if (!line.empty()) {
            lines.insert(std::exchange(line, {}));
        }
    }
    return lines;
}
/// The opposite of lines_of.
inline belay::Bytes joined_lines(const std::set<std::string, std::less<>>& lines) {
    std::string text;
    for (const std::string& line : lines) text += line + "\n";
    return belay::to_bytes(text);
}

/// A set of lines of small letters. An update, a state vector and a diff are lines, and each line
/// is an author.
class Lines {
public:
    [[nodiscard]] belay::Result<bool> check(belay::BytesView update) const {
        if (is_wrong(update)) return make_error_code(belay::RoomErrc::malformed_update);
        const auto added = lines_of(update);
        return !std::includes(lines_.begin(), lines_.end(), added.begin(), added.end());
    }
    [[nodiscard]] std::error_code apply(belay::BytesView update) {
        lines_.merge(lines_of(update));
        return {};
    }
    [[nodiscard]] std::span<const belay::Bytes> snapshot() {
        snapshot_ = {joined_lines(lines_)};
        return snapshot_;
    }
    [[nodiscard]] std::size_t bytes() const noexcept { return lines_.size(); }
    [[nodiscard]] belay::Bytes state_vector() { return joined_lines(lines_); }
    [[nodiscard]] belay::Result<belay::Bytes> diff(belay::BytesView theirs) {
        if (is_wrong(theirs)) return make_error_code(belay::RoomErrc::malformed_update);
        auto missing = lines_;
        for (const std::string& line : lines_of(theirs)) missing.erase(line);
        return joined_lines(missing);
    }

private:
    [[nodiscard]] static bool is_wrong(belay::BytesView bytes) {
        const std::string_view text = belay::as_text(bytes);
        return std::any_of(text.begin(), text.end(),
                           [](char c) { return c != '\n' && (c < 'a' || c > 'z'); });
    }

    std::set<std::string, std::less<>> lines_;
    std::vector<belay::Bytes> snapshot_;
};

/// The fault of a PlantedProtocol. The comment of each names the rule that it breaks.
enum class ProtocolFlaw {
    none,
    read_throws,                // throws_nothing
    split_throws,               // throws_nothing
    disjoint_throws,            // throws_nothing
    rejects_states,             // reads_its_frames
    loses_a_byte,               // reads_its_frames
    finds_another_room,         // reads_its_frames
    accepts_unknown_kinds,      // rejects_what_is_wrong
    reads_past_the_end,         // reads_only_the_frame
    stops_after_bad_frames,     // remembers_nothing
    alternates,                 // remembers_nothing
    bad_frames_change_writes,   // remembers_nothing
    returns_too_long_views,     // views_stay_valid
    shares_a_buffer,            // views_stay_valid
    returns_too_long_ids,       // views_stay_valid
    inflates_payloads,          // payload_fits_into_the_frame
    casts_kinds,                // reads_kinds_of_clients
    accepts_grants,             // reads_kinds_of_clients
    invents_versions,           // reads_kinds_of_clients
    asks_to_try_later,          // errors_end_the_client
    returns_no_error,           // errors_end_the_client
    reserves_what_is_claimed,   // allocates_little
    keeps_the_sign,             // payload_is_for_the_room
    keeps_awareness_sign,       // payload_is_for_the_room
    returns_long_addresses,     // address_begins_the_frame
    cuts_addresses,             // address_begins_the_frame
    accepts_long_names,         // address_is_short
    swallows_signs,             // address_is_kept
    fills_pings,                // own_frames_have_no_address
    names_rooms_by_addresses,   // finds_the_room_id
    numbers_frames,             // writes_the_same
    signs_frames,               // writes_the_same
    splits_differently,         // writes_the_same
    writes_past_the_end,        // writes_the_same
    fills_frames,               // frames_are_bounded
    repeats_pieces,             // frames_are_bounded
    refuses_as_it_grants,       // kinds_differ
    writes_states_as_updates,   // client_reads_each_frame
    writes_too_little,          // client_reads_each_frame
    loses_a_piece,              // client_has_the_document
    splits_into_nothing,        // client_has_the_document
    compares_the_first_line,    // disjoint_is_reliable
    compares_one_way,           // disjoint_is_reliable
    nothing_is_apart,           // disjoint_is_reliable
    keeps_the_sign_of_vectors,  // payload_is_for_the_room
    swallows_refusals,          // address_is_kept
    swallows_after_no_name,     // address_is_kept
    throws_for_viewers,         // throws_nothing
    cuts_awareness,             // client_reads_each_frame
    cuts_state_vectors,         // client_reads_each_frame
    cuts_short_updates,         // client_reads_each_frame
    loses_lines_of_edits,       // client_has_the_document
    loses_lines_of_answers,     // client_has_the_document
    guesses_about_bad_vectors,  // disjoint_is_reliable
    says_going_away,            // errors_end_the_client
    returns_too_long_versions,  // views_stay_valid
    shares_a_version,           // views_stay_valid
    inflates_versions,          // payload_fits_into_the_frame
    reserves_for_ids,           // allocates_little
    reserves_for_payloads,      // allocates_little
    count
};

/// The bytes that a PlantedProtocol pretends to allocate.
inline std::uint64_t planted_bytes = 0;

/// A value or an error, and the bytes to which the value refers.
template <class T>
struct PlantedResult {
    [[nodiscard]] bool has_value() const { return accepted; }
    [[nodiscard]] const T& operator*() const { return value; }
    [[nodiscard]] std::error_code error() const { return code; }

    bool accepted = false;
    T value{};
    std::error_code code = make_error_code(belay::RoomErrc::malformed_frame);
    belay::Bytes own{};
};

/// Two bytes with the length of the name, the name, a sign for the kind, and the payload. A line
/// with a version may follow the payload of a token. A ping and a pong are one sign each.
class PlantedProtocol {
    using Flaw = ProtocolFlaw;
    using Kind = belay::part::RoomMessage::Kind;
    using Message = belay::part::RoomMessage;
    static constexpr std::string_view signs = ".?=+@#!tgrscpqx";

public:
    explicit PlantedProtocol(Flaw flaw) : flaw_{flaw}, number_{++made} {}

    [[nodiscard]] PlantedResult<belay::BytesView> address(belay::BytesView frame) const {
        const std::string_view text = belay::as_text(frame);
        if (text == "p" || text == "q") return {true, {}};
        if (frame.size() < 2) return {};
        const std::size_t name =
            std::to_integer<std::size_t>(frame[0]) * 256 + std::to_integer<std::size_t>(frame[1]);
        if (has(Flaw::reserves_what_is_claimed)) planted_bytes += name;
        std::size_t size = 2 + name;
        if (has(Flaw::returns_long_addresses) && size > frame.size())
            return {true, {frame.data(), frame.size() + 1}};
        if (size > frame.size() || (name > 250 && !has(Flaw::accepts_long_names))) return {};
        if (has(Flaw::cuts_addresses)) return {true, frame.subspan(2, name)};
        if (swallows(text.substr(size), name)) ++size;
        while (has(Flaw::swallows_signs) && size < frame.size() && text[size] == '!') ++size;
        return {true, frame.first(size)};
    }
    [[nodiscard]] std::string_view room_id(belay::BytesView address) const {
        const std::string_view text = belay::as_text(address);
        if (has(Flaw::names_rooms_by_addresses)) return text;
        if (has(Flaw::reserves_for_ids)) planted_bytes += 1'000'000;
        if (has(Flaw::finds_another_room)) return "other";
        const std::size_t more = has(Flaw::returns_too_long_ids) ? 1 : 0;
        return {text.data() + 2, text.size() - 2 + more};
    }

    [[nodiscard]] PlantedResult<Message> read(belay::BytesView body) const {
        if (body.empty()) return read_nothing(body);
        if (has(Flaw::reserves_for_payloads)) planted_bytes += 1'000'000;
        if (std::exchange(odd_, !odd_) && has(Flaw::alternates)) return {};
        const std::size_t sign = signs.find(belay::as_text(body)[0]);
        auto kind = static_cast<Kind>(sign);
        if (sign == signs.npos || kind == Kind::granted || kind == Kind::rejected ||
            kind == Kind::stored) {
            stopped_ = true;
            if (has(Flaw::accepts_unknown_kinds)) return {true, {}};
            if (has(Flaw::casts_kinds)) return {true, {static_cast<Kind>(200), {}, {}}};
            if (has(Flaw::accepts_grants)) return {true, {Kind::granted, {}, {}}};
            if (has(Flaw::asks_to_try_later))
                return {false, {}, make_error_code(belay::RoomErrc::not_loaded)};
            if (has(Flaw::says_going_away))
                return {false, {}, make_error_code(belay::RoomErrc::manager_stopped)};
            if (has(Flaw::returns_no_error)) return {false, {}, {}};
            return {false, {}, make_error_code(belay::RoomErrc::unknown_message)};
        }
        if (stopped_ && has(Flaw::stops_after_bad_frames)) return {};
        if (has(Flaw::rejects_states) && kind == Kind::state) return {};
        return read_payload(kind, body);
    }

    [[nodiscard]] belay::Bytes write(const Message& message) const {
        std::string frame{signs[static_cast<std::size_t>(message.kind)]};
        if (has(Flaw::refuses_as_it_grants) && message.kind == Kind::rejected) return write_grant();
        if (message.kind == Kind::granted) {
            if (has(Flaw::throws_for_viewers) && message.payload.size() == 7)
                throw std::invalid_argument{"write"};
            return write_grant();
        }
        if (has(Flaw::writes_states_as_updates) && message.kind == Kind::state) frame = "+";
        if (has(Flaw::fills_pings) && message.kind == Kind::ping) frame += "    ";
        frame += belay::as_text(message.payload);
        if (cuts(message) && frame.size() > 1) frame.pop_back();
        if (has(Flaw::writes_past_the_end))
            frame += *(belay::as_text(message.payload).data() + message.payload.size());
        if (has(Flaw::numbers_frames)) frame += std::to_string(++written_);
        if (has(Flaw::signs_frames)) frame += std::to_string(number_);
        if (has(Flaw::fills_frames)) frame.resize(frame.size() + 2000);
        if (has(Flaw::bad_frames_change_writes) && stopped_) frame += "!";
        return belay::to_bytes(frame);
    }

    [[nodiscard]] std::vector<belay::Bytes> split(belay::BytesView update, std::size_t most) const {
        if (has(Flaw::split_throws)) throw std::length_error{"split"};
        if (has(Flaw::splits_into_nothing)) return {};
        if (has(Flaw::splits_differently) && number_ % 2 == 0) return {belay::to_bytes(update)};
        std::vector<belay::Bytes> pieces(1);
        for (const std::string& line : lines_of(update)) {
            if (!pieces.back().empty() && pieces.back().size() + line.size() + 1 > most)
                pieces.emplace_back();
            const belay::BytesView text = belay::as_bytes(line);
            pieces.back().insert(pieces.back().end(), text.begin(), text.end());
            pieces.back().push_back(std::byte{'\n'});
        }
        const bool is_edit = !lines_of(update).contains("one");
        if (has(Flaw::loses_a_piece) || (has(Flaw::loses_lines_of_edits) && is_edit) ||
            (has(Flaw::loses_lines_of_answers) && !is_edit))
            pieces.pop_back();
        const std::vector<belay::Bytes> once = pieces;
        for (int i = 0; has(Flaw::repeats_pieces) && i < 8; ++i)
            pieces.insert(pieces.end(), once.begin(), once.end());
        return pieces;
    }
    [[nodiscard]] bool disjoint(belay::BytesView a, belay::BytesView b) const {
        const auto mine = lines_of(a);
        const auto others = lines_of(b);
        const bool is_bad = std::any_of(others.begin(), others.end(),
                                        [](const auto& line) { return line[0] < 'a'; });
        if (has(Flaw::disjoint_throws) && is_bad) throw std::invalid_argument{"disjoint"};
        if (has(Flaw::guesses_about_bad_vectors) && is_bad)
            return (belay::as_text(b).data()[b.size()] & 1) != 0;
        if (mine.empty() || others.empty()) return has(Flaw::nothing_is_apart);
        if (has(Flaw::compares_the_first_line)) return *mine.begin() != *others.begin();
        if (has(Flaw::compares_one_way)) return *mine.rbegin() < *others.begin();
        return std::none_of(mine.begin(), mine.end(),
                            [&](const std::string& line) { return others.contains(line); });
    }

private:
    [[nodiscard]] bool has(Flaw flaw) const noexcept { return flaw_ == flaw; }

    [[nodiscard]] PlantedResult<Message> read_nothing(belay::BytesView body) const {
        if (has(Flaw::read_throws)) throw std::out_of_range{"read"};
        if (!has(Flaw::reads_past_the_end)) return {};
        // Another error for each byte that follows the frame.
        return {false, {}, {100 + std::to_integer<int>(*body.data()), std::generic_category()}};
    }
    [[nodiscard]] PlantedResult<Message> read_payload(Kind kind, belay::BytesView body) const {
        belay::BytesView payload = body.subspan(1);
        PlantedResult<Message> read{true, {kind, payload, {}}};
        if (has(Flaw::keeps_the_sign) ||
            (has(Flaw::keeps_awareness_sign) && kind == Kind::awareness) ||
            (has(Flaw::keeps_the_sign_of_vectors) && kind == Kind::state_vector))
            read.value.payload = body;
        if (has(Flaw::loses_a_byte) && !payload.empty())
            read.value.payload = payload.first(payload.size() - 1);
        if (has(Flaw::returns_too_long_views))
            read.value.payload = {payload.data(), payload.size() + 1};
        if (has(Flaw::shares_a_buffer)) {
            static std::array<std::byte, 20'000> buffer;
            const std::size_t size = std::min(payload.size(), buffer.size());
            std::copy_n(payload.begin(), size, buffer.begin());
            read.value.payload = belay::BytesView{buffer}.first(size);
        }
        if (has(Flaw::inflates_payloads)) {
            read.own.resize(1000 * payload.size());
            read.value.payload = read.own;
        }
        if (has(Flaw::invents_versions)) read.value.version = "4.8.0";
        if (kind == Kind::token) {
            const std::string_view text = belay::as_text(payload);
            const std::size_t end = std::min(text.find('\n'), text.size());
            read.value.payload = payload.first(end);
            read.value.version = version_of(text.substr(std::min(end + 1, text.size())));
        }
        return read;
    }
    [[nodiscard]] std::string_view version_of(std::string_view version) const {
        static std::string shared(1'000'000, 'v');
        if (has(Flaw::returns_too_long_versions)) return {version.data(), version.size() + 1};
        if (has(Flaw::inflates_versions)) return shared;
        if (!has(Flaw::shares_a_version)) return version;
        const std::size_t size = std::min(version.size(), shared.size());
        std::copy_n(version.begin(), size, shared.begin());
        return std::string_view{shared}.substr(0, size);
    }
    /// Whether the address contains the byte after it.
    [[nodiscard]] bool swallows(std::string_view rest, std::size_t name) const {
        if (rest.empty()) return false;
        return (has(Flaw::swallows_refusals) && rest[0] == 'r') ||
               (has(Flaw::swallows_after_no_name) && name == 0 && rest[0] == '!');
    }
    /// Whether the frame lacks its last byte.
    [[nodiscard]] bool cuts(const Message& message) const {
        return has(Flaw::writes_too_little) ||
               (has(Flaw::cuts_awareness) && message.kind == Kind::awareness) ||
               (has(Flaw::cuts_state_vectors) && message.kind == Kind::state_vector) ||
               (has(Flaw::cuts_short_updates) && message.kind == Kind::update &&
                message.payload.size() < 5);
    }
    [[nodiscard]] static belay::Bytes write_grant() { return belay::to_bytes("g"); }

    inline static std::uint64_t made = 0;
    Flaw flaw_;
    std::uint64_t number_;
    mutable std::uint64_t written_ = 0;
    mutable bool odd_ = false;
    mutable bool stopped_ = false;
};

}  // namespace belay_test
