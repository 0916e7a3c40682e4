// made by woosh engines
using UnityEngine;

/// <summary>A sound with one or several takes. Each time another take is played.</summary>
public sealed class WooshSound : ScriptableObject
{
    public AudioClip[] takes = new AudioClip[0];
    public bool loop;

    int last = -1;

    /// <summary>A take at random, and not the one before if there are others.</summary>
    public AudioClip Next()
    {
        if (takes.Length == 0)
            return null;
        if (takes.Length == 1)
            return takes[0];
        int next = last < 0 ? Random.Range(0, takes.Length) : Random.Range(0, takes.Length - 1);
        if (last >= 0 && next >= last)
            next++;
        last = next;
        return takes[next];
    }

    /// <summary>Play a take, around and around if the sound is a loop.</summary>
    public void Play(AudioSource source)
    {
        source.clip = Next();
        source.loop = loop;
        source.Play();
    }
}
