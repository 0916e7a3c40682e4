-- @description Woosh: sound effects from words, variations, sound for videos
-- @version 1.0
-- @author The Woosh authors
-- @about
--   Talks with `woosh serve` on this machine, or another one. Sounds are made at the edit cursor or fill the time
--   selection, with several takes in one item; a selected item gets variations as takes; the video of a region gets its
--   sound on a track of its own. Needs curl, which Windows, macOS and most Linux systems bring.

local SECTION = "woosh" -- of REAPER's settings that outlive a session
local ADDRESS = "http://127.0.0.1:8765"
local POLL = 0.5 -- seconds between questions how far a job is
local LONGEST_CALL = 120 -- seconds of one call of curl
local MOST_TAKES = 16

-- What a user is told; no place in this file stands in front of it.
local function fail(text)
  error(text, 0)
end

-- JSON ------------------------------------------------------------------------------------------------------------------

local ESCAPES = { ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t" }

local function json_text(text)
  local escaped = text:gsub('[%c"\\\127]', function(sign)
    return ESCAPES[sign] or string.format("\\u%04x", sign:byte())
  end)
  return '"' .. escaped .. '"'
end

-- A flat object; its keys are sorted, so that equal requests are equal texts.
local function json_object(values)
  local names = {}
  for name in pairs(values) do
    names[#names + 1] = name
  end
  table.sort(names)
  local parts = {}
  for _, name in ipairs(names) do
    local value = values[name]
    local text = type(value) == "string" and json_text(value) or tostring(value)
    parts[#parts + 1] = json_text(name) .. ":" .. text
  end
  return "{" .. table.concat(parts, ",") .. "}"
end

local UNESCAPES = { b = "\b", f = "\f", n = "\n", r = "\r", t = "\t" }

local function read_string(text, at)
  local parts, start = {}, at + 1
  while true do
    local place = text:find('[\\"]', start)
    if not place then
      fail("the server's answer ends within a text")
    end
    parts[#parts + 1] = text:sub(start, place - 1)
    if text:sub(place, place) == '"' then
      return table.concat(parts), place + 1
    end
    local sign = text:sub(place + 1, place + 1)
    if sign ~= "u" then
      parts[#parts + 1] = UNESCAPES[sign] or sign
      start = place + 2
    else
      local code = tonumber(text:sub(place + 2, place + 5), 16)
      start = place + 6
      local low = text:match("^\\u(%x%x%x%x)", start)
      if code >= 0xD800 and code < 0xDC00 and low then
        code = 0x10000 + ((code - 0xD800) << 10) + (tonumber(low, 16) - 0xDC00)
        start = start + 6
      end
      parts[#parts + 1] = utf8.char(code)
    end
  end
end

local read_value

local function read_list(text, at, closing, read_entry)
  at = text:match("^%s*()", at + 1)
  if text:sub(at, at) == closing then
    return at + 1
  end
  while true do
    at = text:match("^%s*()", read_entry(at))
    local sign = text:sub(at, at)
    if sign == closing then
      return at + 1
    elseif sign ~= "," then
      fail("the server's answer is no JSON")
    end
    at = at + 1
  end
end

function read_value(text, at)
  at = text:match("^%s*()", at)
  local sign = text:sub(at, at)
  if sign == "{" or sign == "[" then
    local made, count = {}, 0
    return made, read_list(text, at, sign == "{" and "}" or "]", function(place)
      local name
      if sign == "{" then
        name, place = read_string(text, text:match("^%s*()", place))
        place = text:match("^%s*:()", place)
      else
        count = count + 1
        name = count
      end
      made[name], place = read_value(text, place)
      return place
    end)
  elseif sign == '"' then
    return read_string(text, at)
  end
  local word, behind = text:match("^([%w%.%+%-]+)()", at)
  if word == "null" then
    return nil, behind
  elseif word == "true" or word == "false" then
    return word == "true", behind
  end
  local number = word and tonumber(word)
  if not number then
    fail("the server's answer is no JSON")
  end
  return number, behind
end

local function read_json(text)
  return (read_value(text, 1))
end

-- HTTP ------------------------------------------------------------------------------------------------------------------

local function setting(name, usual)
  local value = reaper.GetExtState(SECTION, name)
  return value ~= "" and value or usual
end

local function work_folder()
  local folder = reaper.GetResourcePath() .. "/Data/woosh"
  reaper.RecursiveCreateDirectory(folder, 0)
  return folder
end

local calls = 0

local function work_file(ending)
  calls = calls + 1
  return string.format("%s/call-%d-%d.%s", work_folder(), os.time(), calls, ending)
end

-- A value in curl's file of settings: what is in it is never read as another setting.
local function quoted(text)
  return '"' .. text:gsub('[\\"]', "\\%0"):gsub("\n", "\\n"):gsub("\r", "\\r"):gsub("\t", "\\t"):gsub("\0", "") .. '"'
end

local function curl()
  if reaper.GetOS():find("Win") then
    return "curl.exe"
  end
  return reaper.file_exists("/usr/bin/curl") and "/usr/bin/curl" or "curl"
end

local function read_file(path)
  local file = io.open(path, "rb")
  if not file then
    return ""
  end
  local content = file:read("a")
  file:close()
  return content
end

-- Call the server. `settings` are lines of curl's file of settings; words of the user stand nowhere else. The command line
-- itself holds nothing but the name of that file.
local function call(path, settings, target)
  local config, answer = work_file("conf"), target or work_file("json")
  local lines = {
    "silent",
    "show-error",
    "globoff",
    "max-time = " .. LONGEST_CALL,
    "url = " .. quoted(setting("address", ADDRESS) .. path),
    "output = " .. quoted(answer),
    'write-out = "%{http_code}"',
    'noproxy = "127.0.0.1,localhost"',
  }
  local token = setting("token", "")
  if token ~= "" then
    lines[#lines + 1] = "header = " .. quoted("Authorization: Bearer " .. token)
  end
  for _, line in ipairs(settings) do
    lines[#lines + 1] = line
  end
  if config:find('["%c]') then
    fail("REAPER's resource folder has a quotation mark in its name, which cannot be told to curl")
  end
  local file = assert(io.open(config, "wb"))
  file:write(table.concat(lines, "\n"), "\n")
  file:close()
  local told = reaper.ExecProcess(curl() .. ' -q -K "' .. config .. '"', 1000 * (LONGEST_CALL + 5))
  os.remove(config)
  local code, output = (told or ""):match("^(%-?%d+)%s*(.*)$")
  local status = tonumber((output or ""):match("(%d%d%d)%s*$"))
  if code ~= "0" or not status or status == 0 then
    os.remove(answer)
    fail("no answer from " .. setting("address", ADDRESS) .. ": start it with `woosh serve` (" .. (output or "no curl") .. ")")
  end
  if target and status == 200 then
    return nil
  end
  local content = read_file(answer)
  os.remove(answer)
  local fine, value = pcall(read_json, content)
  if status >= 400 or not fine then
    local detail = fine and type(value) == "table" and value.detail
    fail("the server answers " .. status .. (type(detail) == "string" and ": " .. detail or ""))
  end
  return value
end

local function form(values, file_field, file)
  local settings = {}
  for name, value in pairs(values) do
    settings[#settings + 1] = "form-string = " .. quoted(name .. "=" .. tostring(value))
  end
  table.sort(settings)
  -- In a form the name of a file is quoted once more: commas and semicolons belong to it.
  settings[#settings + 1] = "form = " .. quoted(file_field .. "=@" .. quoted(file))
  return settings
end

local function as_json(values)
  return { 'header = "Content-Type: application/json"', "data-raw = " .. quoted(json_object(values)) }
end

-- Jobs ------------------------------------------------------------------------------------------------------------------

local function message(text)
  reaper.Help_Set("", false)
  reaper.ShowMessageBox(text, "Woosh", 0)
end

-- Run a function; what goes wrong is told in one box.
local function told(action, ...)
  local fine, problem = pcall(action, ...)
  if not fine then
    message(tostring(problem))
  end
end

local at_work -- number of the job, until it has ended

-- Ask now and then how far a job is; REAPER goes on meanwhile.
local function follow(job, finish)
  at_work = job.id
  local due = 0
  local function step()
    if reaper.time_precise() < due then
      reaper.defer(function() told(step) end)
      return
    end
    if job.state == "finished" then
      at_work = nil
      reaper.Help_Set("", false)
      finish(job)
      return
    elseif job.state == "failed" or job.state == "cancelled" then
      at_work = nil
      fail(job.error or ("the job was " .. job.state))
    end
    reaper.Help_Set(string.format("Woosh: %d %%", math.floor(100 * (job.progress or 0))), false)
    due = reaper.time_precise() + POLL
    job = call("/v1/jobs/" .. at_work, {})
    reaper.defer(function() told(step) end)
  end
  step()
end

reaper.atexit(function()
  if at_work then
    pcall(call, "/v1/jobs/" .. at_work, { 'request = "DELETE"' })
  end
end)

local function free_path(name)
  local clean = name:gsub('[/\\:*?"<>|%c]', "-"):gsub("^%.+", "")
  local stem, ending = clean:match("^(.-)(%.?[^%.]*)$")
  local folder, number = reaper.GetProjectPath(), 1
  local path = folder .. "/" .. clean
  while reaper.file_exists(path) do
    number = number + 1
    path = string.format("%s/%s-%d%s", folder, stem, number, ending)
  end
  return path
end

-- The sounds of a job, in the project's folder of media.
local function fetch(job)
  local paths = {}
  for _, sound in ipairs(job.sounds) do
    local path = free_path(sound.name)
    if not sound.url:find("^/v1/jobs/[%w_%-]+/audio/%d+$") then
      fail("the server names a sound at a strange place")
    end
    call(sound.url, {}, path)
    paths[#paths + 1] = path
  end
  return paths
end

local function add_take(item, path)
  local take = reaper.AddTakeToMediaItem(item)
  local source = reaper.PCM_Source_CreateFromFile(path)
  reaper.SetMediaItemTake_Source(take, source)
  reaper.GetSetMediaItemTakeInfo_String(take, "P_NAME", path:match("[^/\\]+$"), true)
  return take, (reaper.GetMediaSourceLength(source))
end

local function new_item(track, position, paths, length)
  local item, longest = reaper.AddMediaItemToTrack(track), 0
  for _, path in ipairs(paths) do
    local _, seconds = add_take(item, path)
    longest = math.max(longest, seconds)
  end
  reaper.SetMediaItemInfo_Value(item, "D_POSITION", position)
  reaper.SetMediaItemInfo_Value(item, "D_LENGTH", length or longest)
  reaper.SetMediaItemInfo_Value(item, "B_LOOPSRC", 0)
  return item
end

local function undoable(name, action)
  reaper.Undo_BeginBlock()
  action()
  reaper.Undo_EndBlock("Woosh: " .. name, -1)
  reaper.UpdateArrange()
end

-- What the user asks for --------------------------------------------------------------------------------------------------

-- Ask for values, one in each line; nil where the user wants nothing.
local function ask(title, names, values)
  local given, text = reaper.GetUserInputs(
    "Woosh: " .. title,
    #names,
    table.concat(names, ",") .. ",extrawidth=240,separator=\n",
    table.concat(values, "\n")
  )
  if not given then
    return nil
  end
  local answers = {}
  for line in (text .. "\n"):gmatch("(.-)\n") do
    answers[#answers + 1] = line
  end
  return answers
end

local function number_in(text, name, low, high)
  local number = tonumber(text)
  if not number or number < low or number > high then
    fail(string.format("%s must be a number from %g to %g, not %s", name, low, high, text))
  end
  return number
end

local function takes_in(text)
  return math.floor(number_in(text, "takes", 1, MOST_TAKES))
end

local function new_track()
  reaper.InsertTrackAtIndex(reaper.CountTracks(0), true)
  return reaper.GetTrack(0, reaper.CountTracks(0) - 1)
end

-- While a job is at work the user goes on, and may have removed what it is for.
local function is_there(thing, kind)
  return thing and reaper.ValidatePtr2(0, thing, kind)
end

local function generate()
  local from, to = reaper.GetSet_LoopTimeRange(false, false, 0, 0, false)
  local selected = to > from
  local names, values = { "Prompt", "Takes" }, { "", setting("takes", "4") }
  if not selected then
    names[3], values[3] = "Seconds", setting("seconds", "5")
  end
  local answers = ask(selected and "fill the time selection" or "a sound at the cursor", names, values)
  if not answers then
    return
  end
  local request = { prompt = answers[1], count = takes_in(answers[2]) }
  if selected then
    request.seconds, request.keep_length = to - from, true
  else
    request.seconds = number_in(answers[3], "seconds", 0.01, 600)
    reaper.SetExtState(SECTION, "seconds", answers[3], true)
  end
  reaper.SetExtState(SECTION, "takes", answers[2], true)
  local position = selected and from or reaper.GetCursorPosition()
  local track = reaper.GetSelectedTrack(0, 0)
  follow(call("/v1/generate", as_json(request)), function(job)
    local paths = fetch(job)
    undoable("generate", function()
      local place = is_there(track, "MediaTrack*") and track or new_track()
      new_item(place, position, paths, selected and to - from or nil)
    end)
  end)
end

-- The file behind a take: sections and reversed sources have one behind them.
local function file_of(take)
  local source = reaper.GetMediaItemTake_Source(take)
  while reaper.GetMediaSourceParent(source) do
    source = reaper.GetMediaSourceParent(source)
  end
  return (reaper.GetMediaSourceFileName(source, "")), (reaper.GetMediaSourceType(source, ""))
end

local function vary()
  local item = reaper.GetSelectedMediaItem(0, 0)
  local take = item and reaper.GetActiveTake(item)
  local file = take and file_of(take) or ""
  if file == "" then
    fail("select an item with a sound first")
  end
  local answers = ask("variations", { "Takes", "Similarity (0 to 1)" }, { setting("takes", "4"), "0.7" })
  if not answers then
    return
  end
  local request = { count = takes_in(answers[1]), similarity = number_in(answers[2], "similarity", 0, 1) }
  follow(call("/v1/vary", form(request, "sound", file)), function(job)
    local paths = fetch(job)
    if not (is_there(item, "MediaItem*") and is_there(take, "MediaItem_Take*")) then
      fail("the item is no longer there: its variations are in " .. reaper.GetProjectPath())
    end
    undoable("variations", function()
      for _, path in ipairs(paths) do
        local made = add_take(item, path)
        for _, name in ipairs({ "D_STARTOFFS", "D_PLAYRATE" }) do
          reaper.SetMediaItemTakeInfo_Value(made, name, reaper.GetMediaItemTakeInfo_Value(take, name))
        end
      end
    end)
  end)
end

-- From where to where the region at the cursor reaches; without one, the time selection.
local function region()
  local _, index = reaper.GetLastMarkerAndCurRegion(0, reaper.GetCursorPosition())
  if index >= 0 then
    local _, _, from, to = reaper.EnumProjectMarkers(index)
    return from, to
  end
  local from, to = reaper.GetSet_LoopTimeRange(false, false, 0, 0, false)
  if to <= from then
    fail("put the cursor into a region, or select a time")
  end
  return from, to
end

-- The first item with a video that begins before a time and reaches beyond it.
local function video_at(time)
  for index = 0, reaper.CountMediaItems(0) - 1 do
    local item = reaper.GetMediaItem(0, index)
    local take = reaper.GetActiveTake(item)
    local start = reaper.GetMediaItemInfo_Value(item, "D_POSITION")
    local stop = start + reaper.GetMediaItemInfo_Value(item, "D_LENGTH")
    if take and start <= time and time < stop then
      local file, kind = file_of(take)
      if kind == "VIDEO" then
        return file, take, start, stop
      end
    end
  end
  fail("no video at the region's beginning")
end

local function dub()
  local from, to = region()
  local file, take, start, stop = video_at(from)
  to = math.min(to, stop)
  local rate = reaper.GetMediaItemTakeInfo_Value(take, "D_PLAYRATE")
  local answers = ask("the sound of a region", { "Prompt (may stay empty)", "Takes" }, { "", "1" })
  if not answers then
    return
  end
  local request = {
    start = reaper.GetMediaItemTakeInfo_Value(take, "D_STARTOFFS") + (from - start) * rate,
    seconds = (to - from) * rate,
    count = takes_in(answers[2]),
    format = "wav",
  }
  if answers[1] ~= "" then
    request.prompt = answers[1]
  end
  follow(call("/v1/dub", form(request, "video", file)), function(job)
    local paths = fetch(job)
    undoable("dub", function()
      local track = new_track()
      reaper.GetSetMediaTrackInfo_String(track, "P_NAME", "Woosh", true)
      local item = new_item(track, from, paths, to - from)
      for index = 0, reaper.CountTakes(item) - 1 do
        reaper.SetMediaItemTakeInfo_Value(reaper.GetTake(item, index), "D_PLAYRATE", rate)
      end
    end)
  end)
end

local function configure()
  local answers = ask("server", { "Address", "*Token (may stay empty)" }, { setting("address", ADDRESS), setting("token", "") })
  if answers then
    reaper.SetExtState(SECTION, "address", (answers[1]:gsub("/+$", "")), true)
    reaper.SetExtState(SECTION, "token", answers[2], true)
  end
end

local ACTIONS = { generate, vary, dub, configure }

gfx.init("Woosh", 0, 0)
gfx.x, gfx.y = gfx.mouse_x, gfx.mouse_y
local choice = gfx.showmenu("Sound at the cursor or in the time selection|Variations as takes|Sound for the video of a region||Server ...")
gfx.quit()
if ACTIONS[choice] then
  told(ACTIONS[choice])
end
