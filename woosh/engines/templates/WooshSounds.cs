// made by woosh engines
using System;
using System.Collections.Generic;
using System.IO;
using UnityEditor;
using UnityEngine;

/// <summary>Makes a WooshSound beside the clips of each entry of a selected woosh-unity.json, or brings it up to date.</summary>
public static class WooshSounds
{
    const string Menu = "Assets/Make Woosh Sounds";
    const string List = "woosh-unity.json";

    [Serializable]
    class Listing
    {
        public Entry[] sounds = new Entry[0];
    }

    [Serializable]
    class Entry
    {
        public string name = "";
        public bool loop = false;
        public string[] files = new string[0];
    }

    [MenuItem(Menu, true)]
    static bool CanMake()
    {
        string path = AssetDatabase.GetAssetPath(Selection.activeObject);
        return path != null && Path.GetFileName(path) == List;
    }

    [MenuItem(Menu)]
    static void Make()
    {
        string place = AssetDatabase.GetAssetPath(Selection.activeObject);
        string folder = Path.GetDirectoryName(place).Replace('\\', '/');
        Listing listing = JsonUtility.FromJson<Listing>(File.ReadAllText(place));
        int made = 0;
        foreach (Entry entry in listing.sounds)
        {
            var takes = new List<AudioClip>();
            foreach (string file in entry.files)
            {
                AudioClip clip = AssetDatabase.LoadAssetAtPath<AudioClip>(folder + "/" + file);
                if (clip == null)
                    Debug.LogWarning("Woosh: no clip at " + folder + "/" + file);
                else
                    takes.Add(clip);
            }
            string path = folder + "/" + entry.name + ".asset";
            WooshSound sound = AssetDatabase.LoadAssetAtPath<WooshSound>(path);
            if (sound == null)
            {
                sound = ScriptableObject.CreateInstance<WooshSound>();
                AssetDatabase.CreateAsset(sound, path);
            }
            sound.takes = takes.ToArray();
            sound.loop = entry.loop;
            EditorUtility.SetDirty(sound);
            made++;
        }
        AssetDatabase.SaveAssets();
        Debug.Log("Woosh: " + made + " sounds in " + folder);
    }
}
